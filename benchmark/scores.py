"""The scores of every frame, and their means."""

import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .methods import Prediction
from .metrics import Metric, interpolation_error, psnr, psnr_luma, rounded, ssim


class Scores(NamedTuple):
    """The scores of one frame, or the means over many. None means that a score was not measured or does not exist.

    psnr: the PSNR in dB, of the prediction in floating point.
    ssim: its SSIM.
    psnr8: the PSNR in dB, of the prediction rounded to 8 bits.
    ie: its interpolation error in grey levels.
    psnr_luma: its PSNR of the luma in dB, for sets whose published figure this is.
    lpips, dists: LPIPS and DISTS of the prediction in floating point.
    ratio: the threshold ratio.
    cost: multiply-accumulates of the sparse convolutions, as a fraction of the dense ones.
    gmacs: 10^9 operations, as published tables count them.
    executed_gmacs: 10^9 multiply-accumulates that were computed.
    ms: the time of a prediction in milliseconds. The mean has the median here.
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
    """A frame that was not scored, and so is left out of the means.

    name: the name of the frame or of the sample.
    row: the row of the tables, or "" for all rows.
    reason: the reason in words.
    """

    name: str
    row: str
    reason: str


class Row(NamedTuple):
    """A row of the tables.

    name: its name.
    images: the scores of every frame by its name, in the order of the set.
    mean: the means, or None if there is no frame.
    memory: the peak of the first prediction in MiB, or None if it was not measured.
    """

    name: str
    images: dict[str, Scores]
    mean: Scores | None
    memory: float | None = None


class Results(NamedTuple):
    """The results on one set.

    title: the title of the set.
    names: the names of all samples, also of those without scores.
    rows: the rows of the tables.
    failures: the frames that were not scored.
    """

    title: str
    names: list[str]
    rows: list[Row]
    failures: list[Failure]


def score(
    prediction: Prediction, target: Tensor, *, luma: bool, perceptual: Mapping[str, Metric], ms: float | None
) -> list[Scores | None]:
    """Return the scores of a batch, with None for a prediction that is not finite.

    Args:
        prediction: the predicted frames (B, 3, H, W).
        target: the true frames (B, 3, H, W) in [0, 1].
        luma: also measure the PSNR of the luma.
        perceptual: further metrics by name.
        ms: the time of one prediction in milliseconds.
    """
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
    """Return the means, or None if there is no frame. They are exact, and so do not depend on the order.

    Args:
        images: the scores by the names of the frames.
        by_clip: return the means over clips of the means over their frames. The names are "clip:frame" then.
    """
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
