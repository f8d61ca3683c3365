"""Which options go together, with each other, the input and the output: said before any work."""

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from .codecs import is_animation, is_video
from .images import TRANSPARENT, ImageReader, is_image
from .options import Options
from .piped import PipeReader
from .pipes import is_pipe
from .reader import VideoReader
from .timeline import DEEPEST

logger = logging.getLogger("waveletvfi")


def check_options(options: Options, reader: VideoReader | ImageReader, output: Path) -> None:
    """Refuse what does not go together, and say what is assumed."""
    bounds = {"depth": (1, DEEPEST), "scene_threshold": (0, 255), "input_fps": (Fraction(1, 1000), 1000)}
    for name, (least, most) in bounds.items():
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, got {value}")
    _check_range(options)
    are_images = isinstance(reader, ImageReader)
    if options.input_fps is not None and not are_images:
        raise ValueError(f"input_fps is for images; {reader.path} has its own rate")
    if (options.deinterlace or options.fields) and not isinstance(reader, VideoReader):
        name = "deinterlace" if options.deinterlace else "fields"
        raise ValueError(f"{name} is for videos, and {reader.paths[0]} is an image")
    is_usual = options == replace(
        Options(), **{name: getattr(options, name) for name in ("ratio", "budget", "tile", "alpha")}
    )
    if is_image(output) and not (are_images and len(reader.paths) == 2 and is_usual):
        raise ValueError(f"{output}: an image holds the middle one of two images, without other options; name a folder")
    if options.alpha and not reader.has_alpha:
        if isinstance(reader, PipeReader):
            raise ValueError(f"{reader.path}: no alpha channel; pipe Matroska with FFV1, or leave --alpha out")
        logger.warning("%s: no alpha channel, so --alpha changes nothing", reader.paths[0])
    if reader.has_alpha and is_image(output) and output.suffix.lower() not in TRANSPARENT:
        kinds = ", ".join(TRANSPARENT)
        raise ValueError(f"{output} cannot keep an alpha channel; use {kinds}, or leave --alpha out")
    if are_images and options.input_fps is None and (is_video(output) or is_animation(output) or is_pipe(output)):
        logger.warning("taken as %s frames per second; --input_fps says otherwise", reader.rate)


def _check_range(options: Options) -> None:
    """Refuse times that no frame can lie between."""
    if options.seconds is not None and options.seconds <= 0:
        raise ValueError(f"seconds must be above 0, got {options.seconds}")
    if options.seconds is not None and options.end is not None:
        raise ValueError("give --seconds or --end, not both")
    if options.start is not None and options.start < 0:
        raise ValueError(f"start must be at least 0, got {options.start}")
    if options.end is not None and options.end <= (options.start or 0):
        raise ValueError(f"end must be after the start, got {options.end}")
