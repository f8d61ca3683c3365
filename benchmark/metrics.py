"""PSNR, SSIM and interpolation error per image, as the field's tables use them."""

import math

import torch
from torch import Tensor

from models.losses import check_pair
from models.losses import psnr as psnr

_RADIUS, _SIGMA = 5, 1.5  # of SSIM's Gaussian window: 11 pixels along each axis


def psnr_luma(prediction: Tensor, target: Tensor) -> Tensor:
    """PSNR of Y = 0.299 R + 0.587 G + 0.114 B alone, as the tables of HD have it.

    Args, Returns, Raises: as for `psnr`.
    """
    prediction, target = check_pair(prediction, target)
    red, green, blue = (prediction - target).unbind(1)
    return -10 * (0.299 * red + 0.587 * green + 0.114 * blue).square().mean((1, 2)).log10()


def interpolation_error(prediction: Tensor, target: Tensor) -> Tensor:
    """IE: the mean absolute difference in grey levels of 0 to 255, as the tables of Middlebury's other set have it.

    Args, Raises: as for `psnr`. Returns: (B,).
    """
    prediction, target = check_pair(prediction, target)
    return 255 * (prediction - target).abs().mean((1, 2, 3))


def rounded(image: Tensor) -> Tensor:
    """An image in [0, 1], of any shape, as it comes back from an 8-bit file."""
    return (255 * image.float()).round() / 255


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Structural similarity with a 3-D Gaussian window: the channels are the third axis of one volume (3, H, W).

    Each image is blurred along channels, rows and columns alike, borders repeated. Values are therefore not those of
    the usual 2-D SSIM, but they are those that the papers on frame interpolation print.

    Args:
        prediction, target: (B, 3, H, W) in [0, 1].
    Returns:
        (B,), 1 where the two images are equal.
    Raises:
        ValueError: shapes that differ or are no batch of RGB images, or values outside [0, 1].
    """
    a, b = check_pair(prediction, target)
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = _gaussian_blur(torch.stack([a, b, a * a, b * b, a * b]))
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    covariance = mean_ab - mean_a * mean_b
    variances = mean_aa - mean_a.square() + mean_bb - mean_b.square()
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean((1, 2, 3))


def _gaussian_blur(volumes: Tensor) -> Tensor:
    """Blur (..., D, H, W) along its last three axes, one after the other; borders repeat.

    Sums of shifted copies, not convolutions: GPUs may round those to ten bits, and variances are small differences.
    """
    weights = [math.exp(-(offset**2) / (2 * _SIGMA**2)) for offset in range(-_RADIUS, _RADIUS + 1)]
    weights = [weight / sum(weights) for weight in weights]
    for axis in (-3, -2, -1):
        size = volumes.shape[axis]
        positions = torch.arange(-_RADIUS, size + _RADIUS, device=volumes.device).clamp(0, size - 1)
        padded = volumes.index_select(axis, positions)
        volumes = torch.zeros_like(volumes)
        for start, weight in enumerate(weights):
            volumes.add_(padded.narrow(axis, start, size), alpha=weight)
    return volumes
