"""Samples of a set in batches of one size; what cannot be read comes alone, with the reason."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from datasets import FrameSource, watched

Frames = tuple[Tensor, ...]  # of a sample, in the order of time


def batches(
    dataset: FrameSource, share: list[int], batch_size: int, workers: int
) -> Iterator[tuple[list[int], Frames | Exception]]:
    """Indices and frames (B, 3, H, W), B <= batch_size, or one index and why it cannot be read.

    Neighbours of another size start another batch. Raises OSError for a worker that ended.
    """
    loader = DataLoader(
        Subset(_Numbered(dataset), share),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_group_by_size,
        pin_memory=torch.cuda.is_available(),
    )
    for groups in watched(loader):
        yield from groups


class _Numbered(Dataset):
    """(index, frames), or the error of reading them: raised in a worker, it would end the loader."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, Frames | Exception]:
        try:
            return index, self.dataset[index]
        except (ValueError, OSError) as error:
            return index, error


def _group_by_size(samples: list[tuple[int, Any]]) -> list[tuple[list[int], Frames | Exception]]:
    groups = []
    for kind, group in itertools.groupby(samples, key=lambda sample: _kind(*sample)):
        indices, frames = zip(*group, strict=True)
        together = frames[0] if isinstance(kind, int) else tuple(map(torch.stack, zip(*frames, strict=True)))
        groups.append((list(indices), together))
    return groups


def _kind(index: int, frames: Frames | Exception) -> Any:
    """Return what neighbours share in a batch: number and size of frames; an error stays alone."""
    return index if isinstance(frames, Exception) else (len(frames), frames[0].shape)
