"""Accuracy over a set of triplets: PSNR, SSIM and computation of every image, on one process or on many."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from datasets.triplets import Triplet, TripletDataset
from models import WaveletVFI
from utils import Process

from .metrics import psnr, ssim


class Scores(NamedTuple):
    """What is measured on one image, or the means over many.

    psnr (dB), ssim: of the model's frame. psnr_average, ssim_average: of (img0 + img1) / 2, for comparison.
    ratio: the threshold ratio used. cost: fraction of the dense multiply-accumulates of the sparse convolutions.
    gmacs: 10^9 operations as published tables count them. executed_gmacs: multiply-accumulates that were computed.
    """

    psnr: float
    ssim: float
    psnr_average: float
    ssim_average: float
    ratio: float
    cost: float
    gmacs: float
    executed_gmacs: float


class Results(NamedTuple):
    """names and images: of every image, in the order of the dataset. mean: the means over the images."""

    names: list[str]
    images: list[Scores]
    mean: Scores


def evaluate(
    dataset: TripletDataset,
    model: WaveletVFI,
    *,
    process: Process,
    batch_size: int = 1,
    ratio: float | None = None,
    budget: float | None = None,
    workers: int = 0,
) -> Results:
    """Interpolate the middle of every triplet and compare it with the true frame.

    Each process takes every world_size-th image, and all return the same results. Frames may have any size; images are
    batched with neighbours of the same size. The main process shows a bar with the means so far of its own share.

    Args:
        dataset: triplets of uint8 frames.
        model: on `process.device` and not wrapped for distributed training.
        process: from `init_distributed`.
        batch_size: images computed at once; does not change the results.
        ratio: threshold ratio >= 0. budget: or the cost at most. Neither: the classifier's choice per image.
        workers: processes that read images; 0 reads in this one.
    Raises:
        ValueError: nothing to evaluate, impossible options, a triplet that cannot be read, or predictions that are not
            finite (all images are computed first, then these are counted and named).
    """
    if len(dataset) == 0:
        raise ValueError("the dataset holds no triplet; there is nothing to evaluate")
    if batch_size < 1 or workers < 0:
        raise ValueError(f"batch_size must be >= 1 and workers >= 0, got {batch_size} and {workers}")
    scores = _score_share(dataset, model, process, batch_size, workers, {"ratio": ratio, "budget": budget})
    if process.world_size > 1:
        shares = [None] * process.world_size
        dist.all_gather_object(shares, scores)
        scores = {index: score for share in shares for index, score in share.items()}
    images = [scores[index] for index in range(len(dataset))]
    _check_finite(dataset.names, images)
    return Results(list(dataset.names), images, _mean(images))


def _score_share(
    dataset: TripletDataset,
    model: WaveletVFI,
    process: Process,
    batch_size: int,
    workers: int,
    amount: dict[str, float | None],
) -> dict[int, Scores]:
    """Scores of this process's share of the dataset, by index."""
    share = range(process.rank, len(dataset), process.world_size)
    scores: dict[int, Scores] = {}
    totals = Scores(*[0.0] * len(Scores._fields))
    with tqdm(total=len(share), unit="image", disable=not process.is_main) as bar:
        for indices, triplet in _batches(dataset, share, batch_size, workers):
            batch = _score(model, triplet, amount, process.device)
            scores.update(zip(indices, batch, strict=True))
            totals = Scores(*map(sum, zip(totals, *batch, strict=True)))
            psnr_so_far, ssim_so_far, psnr_average, *_ = (f"{total / len(scores):.4f}" for total in totals)
            bar.set_postfix(PSNR=psnr_so_far, SSIM=ssim_so_far, average=psnr_average, refresh=False)
            bar.update(len(indices))
    return scores


@torch.inference_mode()
def _score(model: WaveletVFI, triplet: Triplet, amount: dict[str, float | None], device: torch.device) -> list[Scores]:
    """Scores of a batch; PSNR and SSIM are NaN where the prediction is not finite."""
    img0, imgt, img1 = (frame.to(device, non_blocking=True).float() / 255 for frame in triplet)
    output = model.interpolate_details(img0, img1, **amount)
    synthesis = output.candidates[0]
    finite = output.frame.isfinite().flatten(1).all(1)
    frame = torch.where(finite.view(-1, 1, 1, 1), output.frame, torch.zeros_like(output.frame))
    average = (img0 + img1) / 2
    columns = (
        *(metric(frame, imgt).where(finite, math.nan) for metric in (psnr, ssim)),
        *(metric(average, imgt) for metric in (psnr, ssim)),
        synthesis.ratio,
        synthesis.cost,
        output.published_gmacs,
        output.executed_gmacs,
    )
    return [Scores(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _batches(
    dataset: TripletDataset, share: range, batch_size: int, workers: int
) -> Iterator[tuple[list[int], Triplet]]:
    """Indices and frames (B, 3, H, W), B <= batch_size. Neighbours of another size start another batch."""
    loader = DataLoader(
        Subset(_Numbered(dataset), share),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_group_by_size,
        pin_memory=torch.cuda.is_available(),
    )
    for groups in loader:
        if isinstance(groups, Exception):
            raise groups
        yield from groups


class _Numbered(Dataset):
    """(index, triplet), or the error of reading it: raised in a worker, its message would be buried in a traceback."""

    def __init__(self, dataset: TripletDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, Triplet] | Exception:
        try:
            return index, self.dataset[index]
        except (ValueError, OSError) as error:
            return error


def _group_by_size(samples: list[Any]) -> list[tuple[list[int], Triplet]] | Exception:
    for sample in samples:
        if isinstance(sample, Exception):
            return sample
    groups = []
    for _, group in itertools.groupby(samples, key=lambda sample: sample[1].imgt.shape):
        indices, triplets = zip(*group, strict=True)
        groups.append((list(indices), Triplet(*(torch.stack(frames) for frames in zip(*triplets, strict=True)))))
    return groups


def _mean(scores: list[Scores]) -> Scores:
    """Means, the same in whatever order the images come."""
    return Scores(*(math.fsum(column) / len(scores) for column in zip(*scores, strict=True)))


def _check_finite(names: list[str], images: list[Scores]) -> None:
    broken = [name for name, score in zip(names, images, strict=True) if math.isnan(score.psnr)]
    if broken:
        more = f" and {len(broken) - 20} more" if len(broken) > 20 else ""
        raise ValueError(
            f"{len(broken)} of {len(images)} predictions hold NaN or infinite values: {', '.join(broken[:20])}{more}; "
            "are the weights damaged?"
        )
