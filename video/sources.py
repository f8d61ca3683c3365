"""From what stands on the command line to a reader."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image

from utils import natural_order

from .facts import DEFAULT_RATE
from .images import ImageReader, is_image, list_frames
from .numbering import describe_gaps
from .piped import PipeReader
from .pipes import PipeIn, is_pipe
from .reader import VideoReader
from .webp import WebpReader, is_animated_webp

WEBP = ".webp"

logger = logging.getLogger("waveletvfi")


def open_reader(
    inputs: Sequence[Path],
    rate: Fraction | None = None,
    *,
    is_interlaced: bool = False,
    by_field: bool = False,
    keeps_alpha: bool = False,
) -> VideoReader | ImageReader | WebpReader:
    """A reader of one video (`-`: of standard input), of the images of a folder or of a pattern such as "frames/*.png",
    or of several images.

    Args:
        rate: frames per second of images; a video has its own. is_interlaced, by_field: see `VideoReader`,
            which alone can be.
        keeps_alpha: give frames their alpha, where the input has some.
    Raises:
        FileNotFoundError: nothing is there, with the path.
        ValueError: one image alone, a folder or a video beside something else, or what cannot be read.
    """
    if is_pipe(inputs[0]):
        return PipeReader(PipeIn(), is_interlaced=is_interlaced, by_field=by_field, keeps_alpha=keeps_alpha)
    rate = DEFAULT_RATE if rate is None else rate
    if len(inputs) > 1:
        folder = next((path for path in inputs if path.is_dir()), None)
        if folder is not None:
            raise ValueError(f"{folder} is a folder; give one folder, or two images")
        other = next((path for path in inputs if not is_still(_existing(path))), None)
        if other is not None:
            raise ValueError(
                f"{other} is not an image, but several inputs are taken as images in their order; "
                "give one video at a time, or two images"
            )
        return ImageReader([_existing(path) for path in inputs], rate=rate, keeps_alpha=keeps_alpha)
    path = Path(inputs[0])
    if path.is_dir():
        return _read_folder(list_frames(path), path, rate, keeps_alpha=keeps_alpha)
    if not path.exists() and set(path.name) & set("*?["):
        paths = natural_order(name for name in path.parent.glob(path.name) if is_image(name))
        if not paths:
            raise FileNotFoundError(f"no image matches {path}")
        return _read_folder(paths, path, rate, keeps_alpha=keeps_alpha)
    if path.suffix.lower() == WEBP and is_animated_webp(_existing(path)):
        return WebpReader(path, keeps_alpha=keeps_alpha)
    if is_image(_existing(path)) and not _is_animated(path):
        raise ValueError(f"{path} is one image; give two, a folder of frames, or a video")
    return VideoReader(path, is_interlaced=is_interlaced, by_field=by_field, keeps_alpha=keeps_alpha)


def _read_folder(paths: list[Path], place: Path, rate: Fraction, *, keeps_alpha: bool) -> ImageReader:
    if gaps := describe_gaps(paths):
        logger.warning("%s: %s; the frames are taken as evenly spaced", place, gaps)
    return ImageReader(paths, rate=rate, keeps_alpha=keeps_alpha)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    return path


def is_still(path: Path) -> bool:
    """Return True for an image by its name or, where that does not tell, by its content."""
    return is_image(path) or _count_pictures(path) == 1


def _is_animated(path: Path) -> bool:
    return _count_pictures(path) > 1


def _count_pictures(path: Path) -> int:
    """Return how many pictures Pillow finds in a file: 0 where it does not read it."""
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 0
