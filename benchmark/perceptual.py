"""LPIPS and DISTS by the package torchmetrics, where it and the weights of its networks are on this machine."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

#: For each metric: the class in torchmetrics, its options, and the weights in torchvision that it is built on.
METRICS = {
    "lpips": ("torchmetrics.image.lpip", "LearnedPerceptualImagePatchSimilarity", "AlexNet_Weights"),
    "dists": ("torchmetrics.image.dists", "DeepImageStructureAndTextureSimilarity", "VGG16_Weights"),
}
Metric = Callable[[Tensor, Tensor], Tensor]


def open_perceptual(device: torch.device) -> tuple[dict[str, Metric], list[str]]:
    """The metrics that can be computed here, and why the others cannot; nothing is ever downloaded.

    Each metric takes two (B, 3, H, W) in [0, 1] and returns (B,), every image judged alone.
    """
    found, missing = {}, []
    for name, (module, kind, weights) in METRICS.items():
        try:
            found[name] = _open(module, kind, weights, device)
        except (ImportError, FileNotFoundError) as error:
            missing.append(f"{name.upper()} is left out: {error}")
    return found, missing


def _open(module: str, kind: str, weights: str, device: torch.device) -> Metric:
    import importlib

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
