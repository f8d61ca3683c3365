"""Read and write frames as image files, and find them in a folder."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.frame import VideoFrame
from PIL import Image

from common.images import ORIENTATION, read_float, turn_upright
from utils import atomic_path, has_alpha, naming_failed_write, natural_order, read_layers, split_numbers

from ..frame import Frame
from .colour import decode_alpha, is_transparent, to_8_bits
from .probe import DEFAULT_RATE

logger = logging.getLogger("waveletvfi")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
TIFF_FORMATS = ("tiff", "rgb48le", "rgba64le")
# Formats with 16 bits: encoder, pixel format without and with alpha.
DEEP = {".png": ("png", "rgb48be", "rgba64be"), ".tif": TIFF_FORMATS, ".tiff": TIFF_FORMATS}
TRANSPARENT = (".png", ".tif", ".tiff", ".webp")  # images that this module writes with alpha

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # Pillow's errors for a damaged file

NAMED = 3  # gaps that are named one by one; more are counted


class ImageReader:
    """A reader of image files, in the given order, `rate` frames per second.

    The attributes are those of `VideoReader`. Size, bits and pixel format are those of the first image.
    """

    colour = None  # images do not say how a video of them should store colour
    aspect = None
    light = ""
    has_places = True
    damage = None  # an image that cannot be read ends the frames

    def __init__(self, paths: Sequence[str | os.PathLike], *, rate: Fraction = DEFAULT_RATE, keeps_alpha: bool = False):
        """Open images. With `keeps_alpha`, read alpha, too, if one of them has an alpha channel.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the first file is not an image.
        """
        self.paths = [Path(path) for path in paths]
        for path in self.paths:
            if not path.is_file():
                raise FileNotFoundError(f"no image at {path}")
        self.rate, self.unit = rate, 1 / rate
        self.total = len(self.paths)
        self.duration, self.is_duration_own = self.total / rate, True
        self._said: set[tuple] = set()
        self.has_alpha = keeps_alpha and any(map(_is_transparent, self.paths))
        self.bits = 0  # any, until the first is read
        first, _ = self._read(self.paths[0])
        self.size, self.bits = first.shape[:2], 8 * first.itemsize
        self.pixel_format = "rgb24" if self.bits == 8 else "rgb48le"

    def frames(self, *, start: Fraction | None = None) -> Iterator[Frame]:
        """Read the frames, or those at or after `start` seconds.

        Raises:
            ValueError: a file cannot be read; the message names it.
        """
        for index, path in enumerate(self.paths):
            if start is None or index / self.rate >= start:
                image, alpha = self._read(path)
                yield Frame(image, index / self.rate, str(path), alpha=alpha)

    def close(self) -> None:
        """Do nothing: no file is held open."""

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
        logger.addFilter(self._is_new)
        try:
            image, alpha = read_picture(path, keeps_alpha=self.has_alpha)
        finally:
            logger.removeFilter(self._is_new)
        if self.has_alpha and alpha is None:
            alpha = np.full(image.shape[:2], np.iinfo(image.dtype).max, image.dtype)
        if self.bits not in (0, 8 * image.itemsize):
            image, alpha = _to_bits(image, self.bits), None if alpha is None else _to_bits(alpha, self.bits)
        return image, alpha

    def _is_new(self, record: logging.LogRecord) -> bool:
        """Return True for the first of similar log records, so that a thousand grey frames cause one message.

        Records are similar if they differ in the file's name alone.
        """
        kind = (record.msg, *record.args[1:])
        is_new = kind not in self._said
        self._said.add(kind)
        return is_new


def read_picture(path: Path, *, keeps_alpha: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Read an upright image file.

    Returns:
        RGB (H, W, 3), uint16 if the file has 16 bits or floating point, else uint8. With `keeps_alpha`, alpha (H, W) of
        the same type, or None if the image has none.
    Raises:
        ValueError: the file is not an image, or is truncated or corrupt.
    """
    if (pixels := read_float(path)) is not None:
        return (pixels * 65535).round().astype(np.uint16), None
    orientation = _deep_orientation(path)
    if orientation is None:
        return read_layers(path, keeps_alpha=keeps_alpha)
    try:
        with path.open("rb") as file, av.open(file) as container:
            if container.format.name.startswith("png"):
                container.streams.video[0].codec_context.options = {"err_detect": "explode"}
            picture = next(container.decode(video=0))
            image = picture.reformat(format="rgb48le").to_ndarray()
    except (av.FFmpegError, IndexError, StopIteration, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "no picture in it"
        raise ValueError(f"{path} is truncated or corrupt: {reason}") from error
    alpha = None
    if is_transparent(picture.format) and keeps_alpha:
        alpha = turn_upright(decode_alpha(picture, is_deep=True), orientation)
    elif is_transparent(picture.format):
        logger.warning("%s: %s", path, "alpha channel, dropped")
    return turn_upright(image, orientation), alpha


def save_picture(path: Path, image: np.ndarray, alpha: np.ndarray | None = None) -> None:
    """Write an image, in 16 bits if it is uint16 and the format has them.

    Args:
        path: the file. Its suffix chooses the format.
        image: (H, W, 3) uint8 or uint16 RGB.
        alpha: (H, W) of the same type. Default: no alpha channel.
    Raises:
        OSError: the file cannot be written; the message names it.
    """
    if alpha is not None:
        image = np.concatenate([image, alpha[..., None]], axis=2)
    with naming_failed_write(path):
        if image.dtype == np.uint16 and path.suffix.lower() in DEEP:
            codec, *formats = DEEP[path.suffix.lower()]
            given, pixel_format = ("rgb48le", formats[0]) if alpha is None else ("rgba64le", formats[1])
            encoder = CodecContext.create(codec, "w")
            encoder.height, encoder.width = image.shape[:2]
            encoder.pix_fmt, encoder.time_base = pixel_format, Fraction(1)
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(image), given).reformat(format=pixel_format)
            path.write_bytes(b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None))))
        else:
            Image.fromarray(to_8_bits(image)).save(path)


def write_picture(path: Path, image: np.ndarray, alpha: np.ndarray | None = None) -> None:
    """Write an image as `save_picture` does, but let the file appear only after it is complete."""
    with atomic_path(path) as temporary:
        save_picture(temporary, image, alpha)


def list_frames(folder: str | os.PathLike) -> list[Path]:
    """Return the image files of a folder in natural order (2 before 10), without hidden files.

    Raises:
        ValueError: there is none.
    """
    paths = natural_order(path for path in Path(folder).iterdir() if is_image(path) and not path.name.startswith("."))
    if not paths:
        raise ValueError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return paths


def is_image(path: str | os.PathLike) -> bool:
    """Return True if the suffix is that of a still image."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def _deep_orientation(path: Path) -> int | None:
    """Return EXIF's code of the orientation of a 16-bit image; None for any other file."""
    try:
        with Image.open(path) as image:
            raw_mode = str(image.tile[0][3]) if image.tile else ""
            return image.getexif().get(ORIENTATION, 1) if "16" in raw_mode else None
    except UNREADABLE:
        return None  # `read_layers` reports the error


def _is_transparent(path: Path) -> bool:
    """Return True if an image file has an alpha channel. Errors are reported later, when it is read."""
    try:
        with Image.open(path) as image:
            return has_alpha(image)
    except UNREADABLE:
        return False


def _to_bits(image: np.ndarray, bits: int) -> np.ndarray:
    return to_8_bits(image) if bits == 8 else image.astype(np.uint16) * 257


def describe_gaps(paths: Sequence[Path]) -> str:
    """Describe the numbers that are missing between those in the files' names; "" if none is missing.

    Numbers that rise evenly, such as 0, 5, 10, have no gap. Names of several kinds are not compared.
    """
    numbers = _numbers(paths)
    if len(numbers) < 3:
        return ""
    step, _ = Counter(after - before for before, after in pairwise(numbers)).most_common(1)[0]
    gaps = [(before + step, after - step) for before, after in pairwise(numbers) if after - before > step > 0]
    if not gaps:
        return ""
    named = [f"{first}" if first >= last else f"{first} to {last}" for first, last in gaps[:NAMED]]
    more = f" and {len(gaps) - NAMED} more gaps" if len(gaps) > NAMED else ""
    return f"no frame of number {', '.join(named)}{more}"


def _numbers(paths: Sequence[Path]) -> list[int]:
    """Return the sorted numbers in which the files' names differ; none if the names differ in something else, too."""
    names = [split_numbers(path.name) for path in paths]
    if len({len(parts) for parts in names}) != 1:
        return []
    columns = list(zip(*names, strict=True))
    varying = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    if len(varying) != 1 or isinstance(columns[varying[0]][0], str):
        return []
    return sorted(columns[varying[0]])
