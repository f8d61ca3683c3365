"""The metrics of every image: PSNR, SSIM and interpolation error, as in published tables, and LPIPS and DISTS.

LPIPS and DISTS need the package torchmetrics and the weights of their networks. They are left out if these are missing.
"""

import importlib
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from models.losses import check_pair
from models.losses import psnr as psnr

#: For each metric: its module and class in torchmetrics, and the weights of torchvision that it uses.
METRICS = {
    "lpips": ("torchmetrics.image.lpip", "LearnedPerceptualImagePatchSimilarity", "AlexNet_Weights"),
    "dists": ("torchmetrics.image.dists", "DeepImageStructureAndTextureSimilarity", "VGG16_Weights"),
}
Metric = Callable[[Tensor, Tensor], Tensor]
_RADIUS, _SIGMA = 5, 1.5  # of SSIM's Gaussian window: 11 pixels along each axis


def psnr_luma(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the PSNR of the luma Y = 0.299 R + 0.587 G + 0.114 B, as the tables of HD show it.

    Arguments, result and errors are those of `psnr`.
    """
    prediction, target = check_pair(prediction, target)
    red, green, blue = (prediction - target).unbind(1)
    return -10 * (0.299 * red + 0.587 * green + 0.114 * blue).square().mean((1, 2)).log10()


def interpolation_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the interpolation error IE: the mean absolute difference, (B,), in grey levels from 0 to 255.

    The tables of Middlebury's other set show it. Arguments and errors are those of `psnr`.
    """
    prediction, target = check_pair(prediction, target)
    return 255 * (prediction - target).abs().mean((1, 2, 3))


def rounded(image: Tensor) -> Tensor:
    """Round an image in [0, 1] of any shape to 8 bits, as a file would store it."""
    return (255 * image.float()).round() / 255


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the structural similarity with a 3-D Gaussian window.

    The window covers channels, rows and columns, and borders are repeated. The values differ from those of the usual
    2-D SSIM, but they are the values that papers on frame interpolation print.

    Args:
        prediction, target: (B, 3, H, W) in [0, 1].
    Returns:
        (B,), 1 if the two images are equal.
    Raises:
        ValueError: the shapes differ or are not those of RGB images, or values lie outside [0, 1].
    """
    a, b = check_pair(prediction, target)
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = _gaussian_blur(torch.stack([a, b, a * a, b * b, a * b]))
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    covariance = mean_ab - mean_a * mean_b
    variances = mean_aa - mean_a.square() + mean_bb - mean_b.square()
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean((1, 2, 3))


def open_perceptual(device: torch.device) -> tuple[dict[str, Metric], list[str]]:
    """Open LPIPS and DISTS, if this machine has what they need. Nothing is downloaded.

    Returns:
        The metrics by name, and the reason for each missing one. A metric takes two (B, 3, H, W) in [0, 1] and returns
        (B,); the value of an image does not depend on the others.
    """
    found, missing = {}, []
    for name, (module, kind, weights) in METRICS.items():
        try:
            found[name] = _open(module, kind, weights, device)
        except (ImportError, FileNotFoundError) as error:
            missing.append(f"{name.upper()} is left out: {error}")
    return found, missing


def _gaussian_blur(volumes: Tensor) -> Tensor:
    """Blur (..., D, H, W) along its last three axes, one after the other. Borders are repeated.

    The blur adds shifted copies. GPUs may round convolutions to ten bits, and variances are small differences.
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


def _open(module: str, kind: str, weights: str, device: torch.device) -> Metric:
    import torchvision

    metric_class = getattr(importlib.import_module(module), kind)
    url = getattr(torchvision.models, weights).DEFAULT.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        raise FileNotFoundError(f"its weights are not at {path} (from {url})")
    options = {"net_type": "alex", "normalize": True} if kind.startswith("Learned") else {}
    metric: nn.Module = metric_class(**options).to(device).eval()

    def per_image(prediction: Tensor, target: Tensor) -> Tensor:
        pairs = zip(prediction.split(1), target.split(1), strict=True)
        values = []
        for pair in pairs:
            values.append(metric(*pair).reshape(1))
            metric.reset()
        return torch.cat(values)

    return per_image
