"""The cases in which the network is measured: real frames of any size, and the threshold ratios for given costs."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.clips import EXAMPLE, decode_clip
from models import Interpolation, WaveletVFI
from models.bands import Bands, haar_pyramid
from models.budget import smallest_allowed
from utils import read_image

CLIP, FIRST = EXAMPLE.stem, 43  # the default frames
LESS = 1 - 2**-10  # a ratio times this has a cost above the one that was asked for


def load_frames(files: Sequence[Path], size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two frames, scaled to (width, height): (1, 3, height, width) in [0, 1] each.

    Args:
        files: two images, or none for two frames of the example clip.
        size: width and height in pixels.
    Raises:
        FileNotFoundError: there is no such image or clip.
        ValueError: a file cannot be read, or the images differ in size.
    """
    if files:
        images = [read_image(path) for path in files]
        if images[0].shape != images[1].shape:
            shapes = " and ".join(f"{image.shape[-1]}x{image.shape[-2]}" for image in images)
            raise ValueError(f"both frames must have one size, got {shapes}")
    else:
        images = (decode_clip(EXAMPLE, FIRST + 2)[FIRST:] / 255).split(1)
    scaled = (F.interpolate(image, size=size[::-1], mode="bicubic", antialias=True) for image in images)
    img0, img1 = (image.clamp(0, 1).to(device) for image in scaled)
    return img0, img1


@torch.inference_mode()
def find_ratios(network: WaveletVFI, img0: Tensor, img1: Tensor, costs: Sequence[float]) -> list[float]:
    """Return the threshold ratios whose costs are closest to the wanted ones; 0 for cost 1.

    The network runs once, with ratio 0. Larger ratios keep its details or drop them (`Bands.at`).

    Args:
        img0, img1: (1, 3, H, W) in [0, 1].
        costs: multiply-accumulates of the sparse convolutions, as fractions of the dense ones.
    """
    output = network.interpolate_details(img0, img1, ratio=0.0)
    bands = _all_bands(network, output)
    ceiling = bands.largest_ratio()

    def cost(ratio: Tensor) -> Tensor:
        return network.synthesis.costs.of(bands.at(ratio))

    def closest(wanted: float) -> float:
        if wanted == 1:
            return 0.0
        zero = torch.zeros_like(ceiling)
        enough = smallest_allowed(zero, ceiling, lambda ratio: cost(ratio) <= wanted)
        return min((zero, enough * LESS, enough), key=lambda ratio: abs(cost(ratio).item() - wanted)).item()

    return [closest(wanted) for wanted in costs]


def _all_bands(network: WaveletVFI, output: Interpolation) -> Bands:
    """Return the bands of an output that was made with ratio 0. In the correction form, they are the correction's."""
    lows, highs = haar_pyramid(output.merged) if network.config.correction else ([0] * 5, [0] * 4)
    made, nothing = output.candidates[0], torch.zeros_like(output.candidates[0].ratio)
    bands = Bands(made.low - lows[4], lows, made.low - lows[4])
    for level in (4, 3, 2, 1):
        bands = bands.add(made.highs[level - 1] - highs[level - 1], nothing)
    return bands
