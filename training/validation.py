"""A validation: scores of every image on every process, and their means."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from tqdm import tqdm

from datasets import Mixture
from models import Interpolation, WaveletVFI
from models.losses import psnr
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


def score_images(
    model: WaveletVFI,
    triplets: Mixture,
    process: Process,
    *,
    ratio: float | None,
    is_stopped: Callable[[], bool],
    show: Callable[[Interpolation, Tensor], None],
) -> list[ImageScore]:
    """Score this process's share of the triplets.

    Args:
        model: in evaluation mode. ratio: threshold ratio, None for the network's choice.
        is_stopped: is asked before each image; if it returns True, the scores so far are returned.
        show: is called with the output and the truth of the first triplet.
    """
    mine, scores = range(process.rank, len(triplets), process.world_size), []
    for index in tqdm(mine, "validation", unit="pair", disable=None if process.is_main else True, leave=False):
        if is_stopped():
            break
        img0, imgt, img1 = (frame[None].to(process.device).float() / 255 for frame in triplets[index])
        output = model.interpolate_details(img0, img1, ratio=ratio)
        merged = output.merged[..., : imgt.shape[-2], : imgt.shape[-1]]
        (candidate,) = output.candidates
        values = [psnr(output.frame, imgt), psnr(merged, imgt), candidate.cost]
        choice = (candidate.ratio - candidate.ratio.new_tensor(model.config.ratios)).abs().argmin()
        scores.append(ImageScore(index, *torch.cat(values).tolist(), choice.item()))
        if index == 0:
            show(output, imgt)
    return scores


def gather_scores(mine: list[ImageScore], process: Process, ratios: int) -> Validation:
    """Return the scores of all processes, the same on each; the means do not depend on how images were shared out."""
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
    """Return the mean, exact but for one rounding; NaN of nothing."""
    values = list(values)
    return math.fsum(values) / len(values) if values else math.nan
