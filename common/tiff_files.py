"""Read TIFF files of floating point, where 1 is white. A file whose white is unclear is refused."""

import logging
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from .extras import require

logger = logging.getLogger("waveletvfi")

WHOLE, SIGNED, FLOAT = 1, 2, 3  # kinds of samples, as TIFF numbers them
BITS, ORIENTATION, COUNT, KIND = 258, 274, 277, 339  # tags
BIG = 43  # the version number of files with offsets of 64 bits; other files have 42
ROUNDING = 1e-3  # beyond [0, 1]: what resampling and compression leave
COLOUR = {"rgbf32le": 3, "rgbf32be": 3, "rgbaf32le": 4, "rgbaf32be": 4}  # FFmpeg's names, and samples of a pixel
# By the code of an orientation: rows and columns are exchanged (True), and then the direction in which each runs.
TURNS = {
    1: (False, 1, 1), 2: (False, 1, -1), 3: (False, -1, -1), 4: (False, -1, 1),
    5: (True, 1, 1), 6: (True, 1, -1), 7: (True, -1, -1), 8: (True, -1, 1),
}  # fmt: skip


class Samples(NamedTuple):
    """The form in which a TIFF stores a pixel.

    kind: WHOLE, SIGNED or FLOAT.
    bits: bits of each sample.
    channels: samples of a pixel.
    orientation: EXIF's code, 1 if the picture is stored upright.
    """

    kind: int
    bits: int
    channels: int
    orientation: int


def read_float(path: Path) -> np.ndarray | None:
    """Read a TIFF of floating point, upright and without alpha.

    Returns:
        (H, W, 3) float32 in [0, 1], or None for any other file.
    Raises:
        ValueError: the file is damaged, or its white is unclear: values beyond [0, 1], signed or 32-bit whole numbers.
    """
    samples = _look(path)
    if samples is None or (samples.kind not in (SIGNED, FLOAT) and samples.bits <= 16):
        return None
    if samples.kind != FLOAT:
        sign = "signed " if samples.kind == SIGNED else ""
        raise ValueError(
            f"{path} holds {sign}whole numbers of {samples.bits} bits, and nothing says which is white; "
            "save it with 8 or 16 bits without sign, or as floating point from 0 to 1"
        )
    if samples.bits != 32 or samples.channels == 2:
        raise ValueError(
            f"{path} holds {samples.channels} samples a pixel of {samples.bits}-bit floating point, which is not read; "
            "save it as 32-bit floating point, grey or RGB, or with 16 bits"
        )
    try:
        pixels = _grey(path) if samples.channels == 1 else _colour(path, samples)
    except (OSError, SyntaxError, ValueError, StopIteration, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "no picture in it"
        raise ValueError(f"{path} is truncated or corrupt: {reason}") from error
    if samples.channels == 4:
        logger.warning("%s: %s", path, "alpha channel, dropped")
    return check_range(pixels, path)


def check_range(pixels: np.ndarray, path: Path) -> np.ndarray:
    """Clip the values to [0, 1]. Raises ValueError if they are not finite, or outside by more than rounding."""
    least, most = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ValueError(f"{path} holds NaN or infinite values; floating point from 0 to 1 is needed")
    if least < -ROUNDING or most > 1 + ROUNDING:
        raise ValueError(
            f"{path} holds floating point from {least:g} to {most:g}, and nothing says which is white; "
            "scale all frames alike to 0 to 1, or save them with 16 bits"
        )
    return pixels.clip(0, 1)


def turn_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn (H, W, C) as it is stored into the picture as it is shown, by EXIF's code of the orientation."""
    is_transposed, rows, columns = TURNS.get(orientation, TURNS[1])
    pixels = pixels.swapaxes(0, 1) if is_transposed else pixels
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _look(path: Path) -> Samples | None:
    """Return the form of the pixels, or None if the file is no TIFF or its head is damaged."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return None
            head += file.read(8) if BIG in head[2:4] else b""
            tags = ImageFileDirectory_v2(head)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                file.seek(tags.next)
                tags.load(file)
        bits, kind = tags.get(BITS, (1,)), tags.get(KIND, (WHOLE,))
        return Samples(max(kind), max(bits), int(tags.get(COUNT, 1)), int(tags.get(ORIENTATION, 1)))
    except Exception:  # a wrong file can fail in any way; reading it as another image reports the reason
        return None


def _grey(path: Path) -> np.ndarray:
    """Read a grey file with Pillow, which turns it upright."""
    with Image.open(path) as image:
        grey = np.asarray(image, np.float32)
    return np.repeat(grey[..., None], 3, axis=2)


def _colour(path: Path, samples: Samples) -> np.ndarray:
    """Read a file in colour with FFmpeg, as it is stored. Pillow does not read it."""
    library = require("av", f"reading {path}, of floating point in colour,")
    try:
        with path.open("rb") as file, library.open(file, "r") as container:
            picture = next(container.decode(video=0))
    except library.FFmpegError as error:
        raise ValueError(error.strerror) from error
    if COLOUR.get(picture.format.name) != samples.channels:
        raise ValueError(f"it was decoded as {picture.format.name}")
    order = ">" if picture.format.name.endswith("be") else "<"
    (plane,) = picture.planes
    rows = np.frombuffer(memoryview(plane), f"{order}f4").reshape(picture.height, plane.line_size // 4)
    pixels = rows[:, : picture.width * samples.channels].reshape(picture.height, picture.width, -1)
    return turn_upright(pixels[..., :3].astype(np.float32), samples.orientation)
