"""Small copies of videos, in a format that every browser plays."""

import contextlib
import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from utils import atomic_path
from video import DamagedVideo, VideoReader
from video.read.colour import Colour, encode_picture, to_8_bits

LARGEST = 960  # pixels of a preview's longer side
#: Codecs that browsers play, by suffix, with the pixel formats `FORMATS`.
PLAYED = {".mp4": ("h264", "av1"), ".m4v": ("h264",), ".webm": ("vp8", "vp9", "av1")}
FORMATS = ("yuv420p", "yuvj420p")
TICKS = Fraction(1, 90000)  # seconds
BT709, LIMITED = 1, 1  # FFmpeg's numbers


def playable(path: Path, folder: Path, *, frames: int | None = None) -> Path:
    """Return a file that browsers play: `path` itself, or a preview without sound.

    Args:
        path: the video.
        folder: the folder for a preview.
        frames: the most frames of a preview. Default: all.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a video.
    """
    if is_played(path):
        return path
    preview = folder / f"{path.stem}_preview.mp4"
    write_preview(path, preview, frames=frames)
    return preview


def is_played(path: Path) -> bool:
    """Return True if browsers are expected to play a video file."""
    codecs = PLAYED.get(path.suffix.lower(), ())
    try:
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            return context.codec.canonical_name in codecs and context.pix_fmt in FORMATS
    except (av.FFmpegError, IndexError, ValueError):
        return False


def write_preview(path: Path, output: Path, *, frames: int | None = None) -> None:
    """Write a preview of a video as H.264, at most LARGEST pixels wide and high. A damaged video is cut at the damage.

    Args:
        path: the video.
        output: the file to write.
        frames: the most frames of the preview. Default: all.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a video.
    """
    with (
        contextlib.closing(VideoReader(path)) as reader,
        atomic_path(output) as temporary,
        av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=reader.rate, options={"crf": "20", "preset": "veryfast"})
        stream.height, stream.width = _even(reader.size)
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TICKS
        stream.codec_context.colorspace, stream.codec_context.color_range = BT709, LIMITED
        with contextlib.suppress(DamagedVideo):  # the preview ends at the damage
            for frame in itertools.islice(reader.frames(), frames):
                image = Image.fromarray(to_8_bits(frame.image)).resize((stream.width, stream.height))
                picture = encode_picture(np.asarray(image), "yuv420p", Colour(BT709, is_full=False))
                picture.pts, picture.time_base = round(frame.time / TICKS), TICKS
                container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _even(size: tuple[int, int]) -> list[int]:
    """Return height and width as even numbers, scaled down if needed."""
    scale = min(1.0, LARGEST / max(size))
    return [max(2, round(side * scale / 2) * 2) for side in size]
