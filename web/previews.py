"""Small copies of videos that every browser plays, whatever the originals are made of."""

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
#: Codecs that browsers play, by suffix, with 8 bits and halved colour.
PLAYED = {".mp4": ("h264", "av1"), ".m4v": ("h264",), ".webm": ("vp8", "vp9", "av1")}
FORMATS = ("yuv420p", "yuvj420p")
TICKS = Fraction(1, 90000)  # seconds
BT709, LIMITED = 1, 1  # FFmpeg's numbers


def playable(path: Path, folder: Path, *, frames: int | None = None) -> Path:
    """Return a file that browsers play: `path`, or a preview of it in `folder`, without sound.

    frames: a preview has only the first so many.

    Raises:
        FileNotFoundError, ValueError: no such file, or not a video.
    """
    if is_played(path):
        return path
    preview = folder / f"{path.stem}_preview.mp4"
    write_preview(path, preview, frames=frames)
    return preview


def is_played(path: Path) -> bool:
    """Return True if browsers can be expected to play a video file."""
    codecs = PLAYED.get(path.suffix.lower(), ())
    try:
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            return context.codec.canonical_name in codecs and context.pix_fmt in FORMATS
    except (av.FFmpegError, IndexError, ValueError):
        return False


def write_preview(path: Path, output: Path, *, frames: int | None = None) -> None:
    """Write a video as H.264 of at most LARGEST pixels a side, as far as it can be read.

    Args:
        frames: only the first so many.
    Raises:
        FileNotFoundError, ValueError: no such file, or not a video.
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
        with contextlib.suppress(DamagedVideo):  # what can be read is shown
            for frame in itertools.islice(reader.frames(), frames):
                image = Image.fromarray(to_8_bits(frame.image)).resize((stream.width, stream.height))
                picture = encode_picture(np.asarray(image), "yuv420p", Colour(BT709, is_full=False))
                picture.pts, picture.time_base = round(frame.time / TICKS), TICKS
                container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _even(size: tuple[int, int]) -> list[int]:
    """Return (H, W), scaled down if needed, each to an even number."""
    scale = min(1.0, LARGEST / max(size))
    return [max(2, round(side * scale / 2) * 2) for side in size]
