"""Read the samples of a set in batches of frames of one size. A sample that cannot be read comes with the reason."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from datasets import FrameSource, watched

Frames = tuple[Tensor, ...]  # the frames of a sample, in the order of time


def batches(
    dataset: FrameSource, share: list[int], batch_size: int, workers: int
) -> Iterator[tuple[list[int], Frames | Exception]]:
    """Yield the samples in batches. A sample of another size than the one before begins another batch.

    Args:
        dataset: the set.
        share: the numbers of the samples to read.
        batch_size: the largest number of samples in a batch.
        workers: processes that read images; 0 reads in this process.
    Yields:
        The numbers of the samples and their frames, (B, 3, H, W) each; or the number of one sample and its error.
    Raises:
        OSError: a worker ended.
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
    """The samples with their numbers. If one cannot be read, its error is returned: raised, it would end the loader."""

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
    """Return a key that all samples of a batch share: number and size of frames. Each error has a key of its own."""
    return index if isinstance(frames, Exception) else (len(frames), frames[0].shape)
