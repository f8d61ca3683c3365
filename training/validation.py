"""Validation: score every image, divided among the processes, and average the scores."""

import math
import statistics
from collections.abc import Callable
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
    """The score of one validation image.

    index: its number in the data set.
    psnr: the PSNR of the frame, in dB.
    psnr_merged: the PSNR of the merged frame, in dB.
    cost: multiply-accumulates of the sparse convolutions, as a fraction of the dense ones.
    choice: the number of the threshold ratio that was used.
    """

    index: int
    psnr: float
    psnr_merged: float
    cost: float
    choice: int


class Validation(NamedTuple):
    """The result of a validation.

    psnr: the mean PSNR of the frames, in dB.
    psnr_merged: the mean PSNR of the merged frames, in dB.
    cost: the mean cost.
    shares: the share of the images for which each threshold ratio was chosen, 0 to 1.
    psnr_of_ratio: the mean PSNR over the images of each ratio, in dB; NaN if there are none.
    images: the score of every image, in the order of the data set.
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
    """Score the triplets that this process has to score.

    Args:
        model: the network in evaluation mode.
        ratio: the threshold ratio, or None for the network's choice.
        is_stopped: a function that is called before each image. If it returns True, scoring ends early.
        show: a function that is called with the output and the true frame (1, 3, H, W) of the first triplet.
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
    """Gather the scores of all processes. The result is the same on each, and for any division of the images."""
    parts = [mine]
    if process.world_size > 1:
        parts = [[] for _ in range(process.world_size)]
        dist.all_gather_object(parts, mine)
    images = sorted(score for part in parts for score in part)
    chosen = [[score.psnr for score in images if score.choice == ratio] for ratio in range(ratios)]
    return Validation(
        statistics.fmean(score.psnr for score in images),
        statistics.fmean(score.psnr_merged for score in images),
        statistics.fmean(score.cost for score in images),
        [len(scores) / len(images) for scores in chosen],
        [statistics.fmean(scores) if scores else math.nan for scores in chosen],
        images,
    )
