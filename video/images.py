"""Frames as image files, in and out."""

import logging
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.frame import VideoFrame
from PIL import Image

from tiff_files import ORIENTATION, read_float, turn_upright
from utils import atomic_path, natural_order, read_image, tensor_to_image

from .colour import to_8_bits
from .facts import DEFAULT_RATE
from .frame import Frame

logger = logging.getLogger("waveletvfi")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
DEEP = {".png": ("png", "rgb48be"), ".tif": ("tiff", "rgb48le"), ".tiff": ("tiff", "rgb48le")}  # hold 16 bits


class ImageReader:
    """The frames of image files, in the given order, `rate` per second. Attributes as in `VideoReader`; those of a
    picture are the first one's."""

    colour = None  # images do not say how a video of them should store colour
    aspect = None
    light = ""
    damage = None  # an image that cannot be read ends the frames

    def __init__(self, paths: Sequence[str | os.PathLike], *, rate: Fraction = DEFAULT_RATE):
        """Raises FileNotFoundError naming a file that is not there, ValueError naming a first one that is no image."""
        self.paths = [Path(path) for path in paths]
        for path in self.paths:
            if not path.is_file():
                raise FileNotFoundError(f"no image at {path}")
        self.rate, self.unit = rate, 1 / rate
        self.total = len(self.paths)
        self.duration, self.is_duration_own = self.total / rate, True
        self._said: set[tuple] = set()
        self.bits = 0  # any, until the first is read
        first = self._read(self.paths[0])
        self.size, self.bits = first.shape[:2], 8 * first.itemsize
        self.pixel_format = "rgb24" if self.bits == 8 else "rgb48le"

    def frames(self, *, start: Fraction | None = None) -> Iterator[Frame]:
        """The frames, or those at or after `start` seconds.

        Raises:
            ValueError: names a file that cannot be read.
        """
        for index, path in enumerate(self.paths):
            if start is None or index / self.rate >= start:
                yield Frame(self._read(path), index / self.rate, str(path))

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self, path: Path) -> np.ndarray:
        logger.addFilter(self._is_new)
        try:
            image = read_picture(path)
        finally:
            logger.removeFilter(self._is_new)
        return image if self.bits in (0, 8 * image.itemsize) else _to_bits(image, self.bits)

    def _is_new(self, record: logging.LogRecord) -> bool:
        """A folder of a thousand grey frames says so once: records are told apart by all but the file's name."""
        kind = (record.msg, *record.args[1:])
        is_new = kind not in self._said
        self._said.add(kind)
        return is_new


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) upright RGB of an image file: uint16 where it has 16 bits or floating point, else uint8.

    Raises:
        ValueError: the file is not an image, or is truncated or corrupt.
    """
    if (pixels := read_float(path)) is not None:
        return (pixels * 65535).round().astype(np.uint16)
    orientation = _deep_orientation(path)
    if orientation is None:
        return tensor_to_image(read_image(path))
    try:
        with path.open("rb") as file, av.open(file) as container:
            if container.format.name.startswith("png"):
                container.streams.video[0].codec_context.options = {"err_detect": "explode"}
            picture = next(container.decode(video=0))
            image = picture.reformat(format="rgb48le").to_ndarray()
    except (av.FFmpegError, IndexError, StopIteration, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "no picture in it"
        raise ValueError(f"{path} is truncated or corrupt: {reason}") from error
    if any(part.is_alpha for part in picture.format.components):
        logger.warning("%s: %s", path, "alpha channel, dropped")
    return turn_upright(image, orientation)


def save_picture(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 or uint16 RGB, in 16 bits where the format has them.

    Raises:
        OSError: names the file that cannot be written.
    """
    try:
        if image.dtype == np.uint16 and path.suffix.lower() in DEEP:
            codec, pixel_format = DEEP[path.suffix.lower()]
            encoder = CodecContext.create(codec, "w")
            encoder.height, encoder.width = image.shape[:2]
            encoder.pix_fmt, encoder.time_base = pixel_format, Fraction(1)
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb48le").reformat(format=pixel_format)
            path.write_bytes(b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None))))
        else:
            Image.fromarray(to_8_bits(image)).save(path)
    except OSError as error:  # a full disk is reported without a name
        raise OSError(f"cannot write {path}: {error.strerror or error}") from error


def write_picture(path: Path, image: np.ndarray) -> None:
    """As `save_picture`, but the file appears under its name only when it is complete."""
    with atomic_path(path) as temporary:
        save_picture(temporary, image)


def list_frames(folder: str | os.PathLike) -> list[Path]:
    """The image files of a folder in natural order (2 before 10), hidden files skipped.

    Raises:
        ValueError: there is none.
    """
    paths = natural_order(path for path in Path(folder).iterdir() if is_image(path) and not path.name.startswith("."))
    if not paths:
        raise ValueError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return paths


def is_image(path: str | os.PathLike) -> bool:
    """Whether the suffix is that of a still image."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def _deep_orientation(path: Path) -> int | None:
    """EXIF's code of the orientation of a 16-bit image; None for any other file."""
    try:
        with Image.open(path) as image:
            raw_mode = str(image.tile[0][3]) if image.tile else ""
            return image.getexif().get(ORIENTATION, 1) if "16" in raw_mode else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # whatever it is, `read_image` says it


def _to_bits(image: np.ndarray, bits: int) -> np.ndarray:
    return to_8_bits(image) if bits == 8 else image.astype(np.uint16) * 257
