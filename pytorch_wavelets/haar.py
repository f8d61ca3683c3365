"""One orthonormal Haar level, as additions of rows and columns.

On a CPU, this was faster than strided 2x2 slices, grouped convolutions, pixel shuffles and 4x4 products: additions of
whole rows are vectorised, and few large tensors are allocated. Additions are also exact, whereas a convolution may run
in TF32, or in lower precision under autocast.
"""

import math

import torch
from torch import Tensor


def haar_forward(image: Tensor) -> tuple[Tensor, Tensor]:
    """Transform images by one Haar level.

    Args:
        image: (B, C, H, W), where H and W are even.
    Returns:
        low: (B, C, H/2, W/2), twice the mean of each 2x2 block.
        high: (B, C, 3, H/2, W/2), half of the differences cH (top - bottom), cV (left - right) and cD (diagonal).
    Raises:
        ValueError: another shape, or odd sizes.
        TypeError: the tensor is not of floating point.
    """
    _check_image(image)
    top, bottom = image[..., ::2, :], image[..., 1::2, :]
    total, difference = (top + bottom).mul_(0.5), (top - bottom).mul_(0.5)  # in place, without another large tensor
    total_left, total_right = total[..., ::2], total[..., 1::2]
    difference_left, difference_right = difference[..., ::2], difference[..., 1::2]
    if _needs_graph(image):
        bands = (difference_left + difference_right, total_left - total_right, difference_left - difference_right)
        return total_left + total_right, torch.stack(bands, dim=2)
    high = image.new_empty(*image.shape[:2], 3, *difference_left.shape[2:])
    torch.add(difference_left, difference_right, out=high[:, :, 0])
    torch.sub(total_left, total_right, out=high[:, :, 1])
    torch.sub(difference_left, difference_right, out=high[:, :, 2])
    return total_left + total_right, high


def haar_inverse(low: Tensor, high: Tensor) -> Tensor:
    """Return the image whose `haar_forward` is these bands.

    Args:
        low: (B, C, h, w).
        high: (B, C, 3, h, w), the bands cH, cV, cD.
    Returns:
        (B, C, 2h, 2w).
    Raises:
        ValueError: the shapes do not fit.
    """
    _check_bands(low, high)
    horizontal, vertical, diagonal = high.unbind(2)
    total = _interleave(low + vertical, low - vertical)  # (B, C, h, 2w): sum of the two rows of each block
    difference = _interleave(horizontal + diagonal, horizontal - diagonal).to(total.dtype)
    if _needs_graph(low, high):
        top = torch.lerp(total, difference, 0.5)  # (total + difference) / 2 in one pass
        return torch.stack((top, total - top), dim=-2).flatten(-3, -2)
    image = total.new_empty(*low.shape[:2], 2 * low.shape[2], 2 * low.shape[3])
    top = torch.lerp(total, difference, 0.5, out=image[..., ::2, :])
    torch.sub(total, top, out=image[..., 1::2, :])
    return image


def haar_forward_1d(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Transform the last axis by one Haar level: (..., L), where L is even, to low and high, (..., L/2) each."""
    even, odd = signal[..., ::2], signal[..., 1::2]
    return (even + odd) * math.sqrt(0.5), (even - odd) * math.sqrt(0.5)


def haar_inverse_1d(low: Tensor, high: Tensor) -> Tensor:
    """Invert `haar_forward_1d`: low and high, (..., l) each, to (..., 2l)."""
    return torch.stack((low + high, low - high), dim=-1).flatten(-2) * math.sqrt(0.5)


def _interleave(even: Tensor, odd: Tensor) -> Tensor:
    """Interleave the last axes of two tensors (..., w) to (..., 2w)."""
    if even.dtype in (torch.float32, torch.float64) and not torch.compiler.is_compiling():
        return torch.view_as_real(torch.complex(even, odd)).flatten(-2)  # the result of a stack, but faster
    return torch.stack((even, odd), dim=-1).flatten(-2)


def _needs_graph(*tensors: Tensor) -> bool:
    """Return True if autograd, a compiler or torch.func records the operations. Otherwise `out=` can be used."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return True
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)


def _check_image(image: Tensor) -> None:
    if image.ndim != 4 or image.shape[-2] % 2 or image.shape[-1] % 2:
        raise ValueError(
            f"haar_forward needs (B, C, H, W) with even H and W, got {tuple(image.shape)}; "
            "use DWTForward(wave='haar', mode=...), which extends odd sizes"
        )
    if not image.is_floating_point():
        raise TypeError(f"haar_forward needs a floating point tensor, got {image.dtype}; call .float() first")


def _check_bands(low: Tensor, high: Tensor) -> None:
    if low.ndim != 4 or high.ndim != 5 or high.shape != (*low.shape[:2], 3, *low.shape[2:]):
        raise ValueError(
            "haar_inverse needs low (B, C, h, w) and high (B, C, 3, h, w), "
            f"got {tuple(low.shape)} and {tuple(high.shape)}; use DWTInverse(wave='haar'), which crops low to high"
        )
