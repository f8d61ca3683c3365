"""Batches read ahead by worker processes. Their errors take one line; they end when the loader is closed."""

import traceback
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data import default_collate as stack

from datasets import watched

from .signals import leave_signals_to_parent


class Failure(NamedTuple):
    """The reason why a sample or a batch could not be read."""

    reason: str


class Loader:
    """Batches of `data` in the order of `sampler`; iterate again for the next epoch.

    The workers live until `close`. They leave signals to this process.
    """

    def __init__(
        self, data: Dataset, batch_size: int, *, sampler: Sampler, workers: int, pin_memory: bool = False
    ) -> None:
        self.sampler = sampler
        self._workers: list[BaseProcess] = []
        self._loader = DataLoader(
            _Told(data),
            batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            collate_fn=_collate,
            worker_init_fn=leave_signals_to_parent,
        )

    def __iter__(self) -> Iterator[Any]:
        """Raises ValueError naming the sample that cannot be read, OSError for a worker that ended."""
        for batch in watched(self._loader, self._workers):
            if isinstance(batch, Failure):
                raise ValueError(batch.reason)
            yield batch

    def close(self) -> None:
        """End the workers, which hold nothing that needs an orderly end, whatever they are doing."""
        for worker in self._workers:
            worker.kill()
            worker.join()


class _Told(Dataset):
    """The samples of a dataset, with a `Failure` in place of one that cannot be read.

    An exception in a worker would reach the main process as pages of text.
    """

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.data[index]
        except Exception as error:
            return Failure(_reason(error))


def _collate(samples: list[Any]) -> Any:
    failure = next((sample for sample in samples if isinstance(sample, Failure)), None)
    if failure:
        return failure
    try:
        return stack(samples)
    except Exception as error:
        return Failure(f"samples that do not fit together: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return the reason in one line; if it is not the fault of the data, with the place in the code."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError):
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(place.filename).name}, line {place.lineno})"
