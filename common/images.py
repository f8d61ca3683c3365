"""Read image files as tensors, and write tensors as image files.

In a TIFF of floating point, 1 is white. If it is unclear which value is white, the file is refused.
"""

import logging
import math
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from torch import Tensor

from .startup import require
from .whole_files import atomic_path, describe_stranger, naming_failed_write

logger = logging.getLogger("waveletvfi")

ROWS = 64  # of an image, rounded at a time
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


def read_image(path: str | os.PathLike) -> Tensor:
    """Read an image file as RGB.

    Grey, palette, alpha, 16-bit and floating-point files (0 to 1) are converted to 8-bit RGB with a logged warning.
    EXIF rotation is applied.

    Returns:
        (1, 3, H, W) float32 in [0, 1].
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not an image, is truncated or corrupt, or does not say which value is white.
    """
    pixels, _ = read_layers(path)
    return image_to_tensor(pixels)


def read_layers(path: str | os.PathLike, *, keeps_alpha: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """Read an image file as `read_image` does, as (H, W, 3) uint8.

    Args:
        keeps_alpha: return alpha, too: (H, W) uint8, or None if the image has none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image at {path}")
    if (pixels := read_float(path)) is not None:
        logger.warning("%s: %s, converted to 8-bit RGB", path, "floating point")
        return (pixels * 255).round().astype(np.uint8), None
    try:
        with Image.open(path) as image:
            keeps_alpha = keeps_alpha and has_alpha(image)
            conversion = _describe_conversion(image, keeps_alpha=keeps_alpha)
            image.load()
            turned = ImageOps.exif_transpose(image)
            rgba = np.asarray(turned.convert("RGBA")) if keeps_alpha else None
            rgb = _to_rgb8(turned, path) if rgba is None else rgba[..., :3]
    except UnidentifiedImageError as error:
        stranger = describe_stranger(path)
        kind = f"an image but {stranger}" if stranger else "an image that Pillow reads"
        raise ValueError(f"{path} is not {kind}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is truncated or corrupt: {error}") from error
    if conversion:
        logger.warning("%s: %s, converted to 8-bit RGB", path, conversion)
    return rgb, None if rgba is None else rgba[..., 3]


def has_alpha(image: Image.Image) -> bool:
    """Return True if an opened image has an alpha channel, or a colour that is transparent."""
    return "A" in image.getbands() or "transparency" in image.info


def image_to_tensor(rgb: np.ndarray) -> Tensor:
    """Convert (H, W, 3) uint8, or uint16 of full scale, to (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float().div_(np.iinfo(rgb.dtype).max)


def tensor_to_image(frame: Tensor, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """Convert (1, 3, H, W) or (3, H, W) in [0, 1] to (H, W, 3) uint8, or uint16 of full scale, rounded.

    Raises:
        ValueError: the tensor has another shape, or values that are not finite.
    """
    if frame.dim() == 4 and frame.shape[0] == 1:
        frame = frame[0]
    if frame.dim() != 3 or frame.shape[0] != 3:
        raise ValueError(f"an RGB image of shape (3, H, W) or (1, 3, H, W) is needed, got {tuple(frame.shape)}")
    frame = frame.detach().float()
    _, height, width = frame.shape
    channels_last = frame.movedim(0, -1)
    # Not a number is both the smallest and the largest value; on a CPU `isfinite` takes ten times as long, and so does
    # `aminmax` in another order than that of the memory.
    ordered = channels_last if channels_last.is_contiguous() else frame
    lowest, highest = torch.stack(ordered.aminmax()).tolist() if frame.numel() else (0, 0)
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise ValueError("the image holds NaN or infinite values: are the weights damaged?")
    image = np.empty((height, width, 3), dtype)
    is_here = frame.device.type == "cpu"
    # On a CPU, a few rows at a time stay in the cache. From other devices all rows come at once, as few bytes.
    rows = ROWS if is_here else max(height, 1)
    for top in range(0, height, rows):
        part = frame[:, top : top + rows]
        part = part.clamp(0, 1) if lowest < 0 or highest > 1 else part
        whole = (part * np.iinfo(dtype).max).round_()
        if not is_here:  # on a CPU, NumPy converts faster as it copies
            whole = whole.to(torch.uint8 if dtype == np.uint8 else torch.int32).cpu()
        for channel, values in enumerate(whole.numpy()):
            image[top : top + rows, :, channel] = values
    return image


def write_image(path: str | os.PathLike, frame: Tensor) -> None:
    """Write (1, 3, H, W) or (3, H, W) in [0, 1] as an 8-bit image, in the format of the suffix.

    The file appears only when it is complete.

    Raises:
        OSError: the file cannot be written.
        ValueError: the suffix is unknown, or the tensor is not an image.
    """
    array = tensor_to_image(frame)
    if Path(path).suffix.lower() not in Image.registered_extensions():
        raise ValueError(f"{path}: unknown image suffix {Path(path).suffix!r}; use for example .png")
    with atomic_path(path) as temporary, naming_failed_write(path):
        Image.fromarray(array).save(temporary)


def _describe_conversion(image: Image.Image, *, keeps_alpha: bool = False) -> str:
    """Describe the changes that `_to_rgb8` makes; empty for plain 8-bit RGB."""
    tile = getattr(image, "tile", None)
    raw_mode = str(tile[0][3]) if tile else ""
    deep = "16-bit " if "16" in raw_mode or image.mode.startswith("I") else ""
    alpha = has_alpha(image) and not keeps_alpha
    names = {"1": "black and white", "L": "grey", "LA": "grey", "I": "grey", "F": "floating-point grey", "P": "palette"}
    kind = names.get(image.mode.split(";")[0], "" if image.mode in ("RGB", "RGBA", "RGBX") else image.mode)
    parts = [f"{deep}{kind}".strip(), "alpha channel (dropped)" if alpha else ""]
    return " with ".join(part for part in parts if part)


def _to_rgb8(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode == "F":
        grey = check_range(np.asarray(image, np.float32), path) * 255
    elif image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip at 255
        grey = np.clip(np.asarray(image).astype(np.float64) / 257, 0, 255)
    else:
        return np.asarray(image.convert("RGB"))
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


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
    return turn_upright(picture.to_ndarray()[..., :3], samples.orientation)
