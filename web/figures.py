"""The parts of the web page that show a result: words and numbers, pictures, and previews of videos.

There is a loop, pictures to compare, and pictures of the inside of the network. A preview is a small copy of a video,
in a format that every browser plays.
"""

import contextlib
import functools
import itertools
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from PIL import Image, ImageDraw

from utils import atomic_path, tensor_to_image
from video import DamagedVideo, Summary
from video.picture import FAINT, INK, PAPER, flow_to_rgb, font_of_size, with_wheel
from video.read.colour import Colour, encode_picture, to_8_bits
from video.read.source import open_reader

from .jobs import Pair, WatchedModel

TEMPLATES = Path(__file__).with_name("templates")
DIMMED = 0.2  # brightness outside of a mask
WIDEST = 960  # pixels of the loop
PAUSE = 400  # milliseconds of a frame of the loop
ACCENT = (31, 95, 168)
LOOP = ("before", "between", "after")
LETTERS = 1 / 30, 14  # size of the names below the loop: a part of its width, and the least number of pixels
LARGEST = 960  # pixels of a preview's longer side
#: Codecs that browsers play, by suffix, with the pixel formats `FORMATS`.
PLAYED = {".mp4": ("h264", "av1"), ".m4v": ("h264",), ".webm": ("vp8", "vp9", "av1")}
FORMATS = ("yuv420p", "yuvj420p")
TICKS = Fraction(1, 90000)  # seconds
BT709, LIMITED = 1, 1  # FFmpeg's numbers


class Tile(NamedTuple):
    """A number on the page.

    value: the number with its unit.
    name: its name.
    note: a remark in small letters.
    share: the length of a bar, 0 to 1; None for no bar.
    """

    value: str
    name: str
    note: str
    share: float | None = None


def figures(watched: WatchedModel) -> str:
    """Return time, cost, ratio and operations as HTML."""
    pair, count = watched.liveliest, len(watched.costs)
    output, (height, width) = pair.output, pair.img0.shape[-2:]
    cost = sum(watched.costs) / count
    executed, published = output.executed_gmacs.item(), output.published_gmacs.item()
    tiles = [
        Tile(f"{pair.seconds:.2f} s", "computing time", f"for one frame of {width}x{height} pixels"),
        Tile(
            f"{cost:.0%}", "of the details computed", "of this pair" if count == 1 else f"mean of {count} pairs", cost
        ),
        Tile(
            f"{output.candidates[0].ratio.item():.2g}", "threshold ratio", "details below it are skipped; 0: none are"
        ),
        Tile(f"{executed:.3g} billion", "multiplications", f"{published:.3g} as published tables count (GMACs)"),
    ]
    return _template().render(tiles=tiles)


def in_words(summary: Summary) -> str:
    """Return one sentence about a clip."""
    cuts = f" No frame was made across {_count(len(summary.cuts), 'cut')}." if summary.cuts else ""
    made = f"{_count(summary.frames, 'frame')}, {summary.made} of them made by the network"
    return f"{made}, in {summary.seconds:.0f} s.{cuts}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("figures.html")


def write_loop(pair: Pair, path: Path) -> None:
    """Write an animated WebP that shows before, between, after and between, each with its name."""
    before, between, after = zip(LOOP, (pair.img0, pair.output.frame, pair.img1), strict=True)
    frames = (before, between, after, between)
    first, *others = (_labelled(tensor_to_image(image), name) for name, image in frames)
    with atomic_path(path) as temporary:
        first.save(temporary, save_all=True, append_images=others, duration=PAUSE, loop=0, quality=90, method=2)


def compared(pair: Pair) -> dict[str, np.ndarray]:
    """Return the middle frame and the pictures to compare it with, by their names."""
    pictures = {
        "average of both": (pair.img0 + pair.img1) / 2,
        "first frame": pair.img0,
        "last frame": pair.img1,
        "middle frame": pair.output.frame,
    }
    return {name: tensor_to_image(picture) for name, picture in pictures.items()}


def inside(pair: Pair) -> list[tuple[np.ndarray, str]]:
    """Draw the motion, the merged frame, the changes by the synthesis, and the masks, in the frame's size.

    Returns:
        Pictures (H, W, 3) uint8 with their captions.
    """
    height, width = pair.img0.shape[-2:]
    motion, synthesis = pair.output.motion, pair.output.candidates[0]
    flows = [flow[..., :height, :width] for flow in (motion.flow_t0, motion.flow_t1)]
    fastest = [flow.norm(dim=1).max().item() for flow in flows]
    merged = pair.output.merged[..., :height, :width]
    correction = pair.output.frame - merged
    gain = 0.5 / max(correction.abs().max().item(), 1e-6)
    occlusion = motion.occlusion[..., :height, :width].expand(-1, 3, -1, -1)
    pictures = [
        (with_wheel(flow_to_rgb(flows[0])), f"Flow to the first frame, at most {fastest[0]:.1f} pixels"),
        (with_wheel(flow_to_rgb(flows[1])), f"Flow to the last frame, at most {fastest[1]:.1f} pixels"),
        (tensor_to_image(occlusion), "Occlusion: white comes from the first frame, black from the last"),
        (tensor_to_image(merged), "Merged: both frames moved along the flow and blended"),
        (tensor_to_image(0.5 + gain * correction), f"Changes by the wavelet synthesis, {gain:.0f} times as strong"),
    ]
    for level, mask in enumerate(synthesis.masks, 1):
        lit = mask.repeat_interleave(2**level, -2).repeat_interleave(2**level, -1)[..., :height, :width]
        picture = pair.output.frame * (DIMMED + (1 - DIMMED) * lit)
        caption = f"Mask of level {level}: details are computed where it is light, {mask.mean().item():.0%}"
        pictures.append((tensor_to_image(picture), caption))
    return pictures


def _labelled(image: np.ndarray, name: str) -> Image.Image:
    """Add a strip below a picture with the names of the loop's frames. The name of this frame is underlined."""
    picture = Image.fromarray(image)
    picture.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
    size = max(round(LETTERS[0] * picture.width), LETTERS[1])
    font, gap, strip, top = font_of_size(size), size, 2 * size, picture.height
    widths = [round(font.getlength(other)) for other in LOOP]
    lefts = [sum(widths[:index]) + (index + 1) * gap for index in range(len(LOOP))]
    canvas = Image.new("RGB", (max(picture.width, lefts[-1] + widths[-1] + gap), top + strip), PAPER)
    canvas.paste(picture, (0, 0))
    draw = ImageDraw.Draw(canvas)
    for other, left, width in zip(LOOP, lefts, widths, strict=True):
        draw.text((left, top + size // 3), other, fill=INK if other == name else FAINT, font=font)
        if other == name:
            draw.rectangle((left, top + strip - size // 3, left + width, top + strip - size // 6), fill=ACCENT)
    return canvas


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
        contextlib.closing(open_reader([path])) as reader,
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
