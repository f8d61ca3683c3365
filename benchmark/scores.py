"""The measurements of every frame, and their means."""

import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .methods import Prediction
from .metrics import interpolation_error, psnr, psnr_luma, rounded, ssim
from .perceptual import Metric


class Scores(NamedTuple):
    """The measurements of one frame, or the means over many. None: not measured, or nothing that could be.

    psnr (dB), ssim: of the prediction in floating point. psnr8 (dB), ie (grey levels), psnr_luma (dB; sets that publish
    it): of the prediction rounded to 8 bits. lpips, dists: of the former.
    ratio: threshold ratio used. cost: fraction of the dense multiply-accumulates of the sparse convolutions.
    gmacs: 10^9 operations as published tables count them. executed_gmacs: multiply-accumulates that were computed.
    ms: milliseconds of a prediction; in the mean, the median of them.
    """

    psnr: float
    ssim: float
    psnr8: float
    ie: float
    psnr_luma: float | None = None
    lpips: float | None = None
    dists: float | None = None
    ratio: float | None = None
    cost: float | None = None
    gmacs: float | None = None
    executed_gmacs: float | None = None
    ms: float | None = None


class Failure(NamedTuple):
    """A frame that is in no mean. row: of the tables, or "" for all of them. reason: in words."""

    name: str
    row: str
    reason: str


class Row(NamedTuple):
    """A row of the tables. images: by name, in order. memory: MiB at the peak of the first prediction."""

    name: str
    images: dict[str, Scores]
    mean: Scores | None
    memory: float | None = None


class Results(NamedTuple):
    """title: of the set. names: of all samples, scored or not. rows, failures: as above."""

    title: str
    names: list[str]
    rows: list[Row]
    failures: list[Failure]


def score(
    prediction: Prediction, target: Tensor, *, luma: bool, perceptual: Mapping[str, Metric], ms: float | None
) -> list[Scores | None]:
    """Scores of a batch (B, 3, H, W); None for predictions that are not finite."""
    finite = prediction.frame.isfinite().flatten(1).all(1)
    frame = torch.where(finite.view(-1, 1, 1, 1), prediction.frame, torch.zeros_like(prediction.frame))
    byte = rounded(frame)
    columns = {
        "psnr": psnr(frame, target),
        "ssim": ssim(frame, target),
        "psnr8": psnr(byte, target),
        "ie": interpolation_error(byte, target),
    }
    if luma:
        columns["psnr_luma"] = psnr_luma(byte, target)
    columns |= {name: metric(frame, target) for name, metric in perceptual.items()}
    if outputs := [output for output in (prediction.details, prediction.mirrored) if output]:
        candidates = [output.candidates[0] for output in outputs]
        for name in ("ratio", "cost"):
            columns[name] = sum(getattr(candidate, name) for candidate in candidates) / len(candidates)
        columns["gmacs"] = sum(output.published_gmacs for output in outputs)
        executed = [output.executed_gmacs for output in outputs]
        if None not in executed:
            columns["executed_gmacs"] = sum(executed)
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    scores = [Scores(**dict(zip(columns, row, strict=True)), ms=ms) for row in values]
    return [one if whole else None for one, whole in zip(scores, finite.tolist(), strict=True)]


def mean_of(images: Mapping[str, Scores], *, by_clip: bool = False) -> Scores | None:
    """Means, exact and so the same in whatever order; of nothing None. by_clip: of the means of "clip:..."."""
    if not images:
        return None
    groups: dict[str, list[Scores]] = {}
    for name, scores in images.items():
        groups.setdefault(name.rpartition(":")[0] if by_clip else "", []).append(scores)
    columns = []
    for field in Scores._fields:
        means = [_mean([getattr(scores, field) for scores in group]) for group in groups.values()]
        columns.append(_mean(means))
    times = [scores.ms for scores in images.values()]
    return Scores(*columns)._replace(ms=None if None in times else statistics.median(times))


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else math.fsum(values) / len(values)
