"""From what stands on the command line to a reader."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image

from utils import natural_order

from .facts import DEFAULT_RATE
from .images import ImageReader, is_image, list_frames
from .reader import VideoReader
from .webp import WebpReader, is_animated_webp

WEBP = ".webp"


def open_reader(
    inputs: Sequence[Path], rate: Fraction | None = None, *, is_interlaced: bool = False
) -> VideoReader | ImageReader | WebpReader:
    """A reader of one video, of the images of a folder or of a pattern such as "frames/*.png", or of several images.

    Args:
        rate: frames per second of images; a video has its own. is_interlaced: see `VideoReader`, which alone can be.
    Raises:
        FileNotFoundError: nothing is there, with the path.
        ValueError: one image alone, a folder beside something else, or what cannot be read.
    """
    rate = DEFAULT_RATE if rate is None else rate
    if len(inputs) > 1:
        folder = next((path for path in inputs if path.is_dir()), None)
        if folder is not None:
            raise ValueError(f"{folder} is a folder; give one folder, or two images")
        return ImageReader([_existing(path) for path in inputs], rate=rate)
    path = Path(inputs[0])
    if path.is_dir():
        return ImageReader(list_frames(path), rate=rate)
    if not path.exists() and set(path.name) & set("*?["):
        paths = natural_order(name for name in path.parent.glob(path.name) if is_image(name))
        if not paths:
            raise FileNotFoundError(f"no image matches {path}")
        return ImageReader(paths, rate=rate)
    if path.suffix.lower() == WEBP and is_animated_webp(_existing(path)):
        return WebpReader(path)
    if is_image(_existing(path)) and not _is_animated(path):
        raise ValueError(f"{path} is one image; give two, a folder of frames, or a video")
    return VideoReader(path, is_interlaced=is_interlaced)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    return path


def _is_animated(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1) > 1
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
