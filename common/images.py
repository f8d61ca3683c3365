"""Read image files as tensors, and write tensors as image files."""

import logging
import math
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from . import tiff_files
from .whole_files import atomic_path, describe_stranger, naming_failed_write

logger = logging.getLogger("waveletvfi")

ROWS = 64  # of an image, rounded at a time


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
    if (pixels := tiff_files.read_float(path)) is not None:
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
    # Not a number is both the smallest and the largest value; on a CPU `isfinite` takes ten times as long.
    lowest, highest = torch.stack(frame.aminmax()).tolist() if frame.numel() else (0, 0)
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise ValueError("the image holds NaN or infinite values: are the weights damaged?")
    image = np.empty((height, width, 3), dtype)
    # On a CPU, a few rows at a time stay in the cache. From other devices all rows come at once, as few bytes.
    rows = ROWS if frame.device.type == "cpu" else max(height, 1)
    for top in range(0, height, rows):
        part = frame[:, top : top + rows]
        part = part.clamp(0, 1) if lowest < 0 or highest > 1 else part
        whole = (part * np.iinfo(dtype).max).round_().to(torch.uint8 if dtype == np.uint8 else torch.int32)
        for channel, values in enumerate(whole.cpu().numpy()):
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
        grey = (tiff_files.check_range(np.asarray(image, np.float32), path) * 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip at 255
        grey = np.clip(np.asarray(image).astype(np.float64) / 257, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))
