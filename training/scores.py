"""What a validation finds, image by image on every process, and in the mean."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch.distributed as dist

from utils import Process


class ImageScore(NamedTuple):
    """One validation image. index: in the dataset; psnr, psnr_merged (dB): of the frame, of the merged frame.

    cost: fraction of the dense multiply-accumulates. choice: index of the ratio used.
    """

    index: int
    psnr: float
    psnr_merged: float
    cost: float
    choice: int


class Validation(NamedTuple):
    """Means over all images. shares: how often each ratio was chosen; psnr_of_ratio: over the images of each (or NaN).

    images: of every image, in the order of the dataset.
    """

    psnr: float
    psnr_merged: float
    cost: float
    shares: list[float]
    psnr_of_ratio: list[float]
    images: list[ImageScore]


def gather_scores(mine: list[ImageScore], process: Process, ratios: int) -> Validation:
    """The same on every process; the means do not depend on how the images were shared out."""
    parts = [mine]
    if process.world_size > 1:
        parts = [[] for _ in range(process.world_size)]
        dist.all_gather_object(parts, mine)
    images = sorted(score for part in parts for score in part)
    chosen = [[score.psnr for score in images if score.choice == ratio] for ratio in range(ratios)]
    return Validation(
        _mean(score.psnr for score in images),
        _mean(score.psnr_merged for score in images),
        _mean(score.cost for score in images),
        [len(scores) / len(images) for scores in chosen],
        [_mean(scores) for scores in chosen],
        images,
    )


def _mean(values: Iterable[float]) -> float:
    """Exact but for one rounding; NaN of nothing."""
    values = list(values)
    return math.fsum(values) / len(values) if values else math.nan
