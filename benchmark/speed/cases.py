"""The cases for measuring the network: real frames of any size, and the threshold ratio for a given cost."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.clips import EXAMPLE, decode_clip
from models import Interpolation, WaveletVFI
from models.bands import Bands, haar_pyramid
from utils import read_image

CLIP, FIRST = EXAMPLE.stem, 43  # the default frames
# Of the search for a ratio. More would find the very threshold of a detail, which rounding then decides.
STEPS = 15  # halvings
RANGE = 1e9  # between the largest and the smallest ratio tried


def load_frames(files: Sequence[Path], size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two frames, scaled to (width, height): (1, 3, height, width) in [0, 1] each.

    Args:
        files: two images; none for two frames of the example clip.
    Raises:
        FileNotFoundError, ValueError: no such image or clip; images of two sizes.
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
    """Return the ratio for each cost, a fraction of the dense multiply-accumulates: the closest one; 0 for cost 1.

    The network runs once, with ratio 0: larger ratios leave its details as they are or drop them (`Bands.at`).
    """
    output = network.interpolate_details(img0, img1, ratio=0.0)
    bands = _all_bands(network, output)
    ceiling = bands.largest_ratio()

    def cost(ratio: Tensor) -> float:
        return network.synthesis.cost_of(bands.at(ratio)).item()

    def closest(wanted: float) -> float:
        if wanted == 1:
            return 0.0
        below, above = ceiling / RANGE, ceiling * 2
        for _ in range(STEPS):
            middle = below.sqrt() * above.sqrt()
            below, above = (middle, above) if cost(middle) > wanted else (below, middle)
        return min((torch.zeros_like(below), below, above), key=lambda ratio: abs(cost(ratio) - wanted)).item()

    return [closest(wanted) for wanted in costs]


def _all_bands(network: WaveletVFI, output: Interpolation) -> Bands:
    """Return the bands of one pair's frame, or of the correction in that form, made with ratio 0."""
    lows, highs = haar_pyramid(output.merged) if network.config.correction else ([0] * 5, [0] * 4)
    made, nothing = output.candidates[0], torch.zeros_like(output.candidates[0].ratio)
    bands = Bands(made.low - lows[4], lows, made.low - lows[4])
    for level in (4, 3, 2, 1):
        bands = bands.add(made.highs[level - 1] - highs[level - 1], nothing)
    return bands
