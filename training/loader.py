"""Read batches ahead in worker processes. Their errors take one line, and they end when the loader is closed."""

import signal
import traceback
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, Dataset, Sampler
from torch.utils.data import default_collate as stack

from datasets import watched

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)  # they ask a run to stop


class Failure(NamedTuple):
    """The reason for a sample or a batch that could not be read, in one line."""

    reason: str


class Loader:
    """The batches of `data`, in the order of `sampler`. Iterate again for the next epoch.

    Its worker processes live until `close`. They ignore signals, which are for this process.
    """

    def __init__(
        self, data: Dataset, batch_size: int, *, sampler: Sampler, workers: int, pin_memory: bool = False
    ) -> None:
        self.sampler = sampler
        self._workers: list[BaseProcess] = []
        self._loader = DataLoader(
            _Guarded(data),
            batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=pin_memory,
            collate_fn=_collate,
            worker_init_fn=_ignore_signals,
        )

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches of one epoch.

        Raises:
            ValueError: a sample cannot be read. The message names it.
            OSError: a worker ended. The message names the signal.
        """
        for batch in watched(self._loader, self._workers):
            if isinstance(batch, Failure):
                raise ValueError(batch.reason)
            yield batch

    def close(self) -> None:
        """Kill the workers at once. They hold nothing that must be saved."""
        for worker in self._workers:
            worker.kill()
            worker.join()


class _Guarded(Dataset):
    """The samples of a dataset, with a `Failure` in the place of a sample that cannot be read.

    An exception in a worker would reach the main process as pages of text.
    """

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.data[index]
        except Exception as error:
            return Failure(_reason(error))


def _ignore_signals(worker: int) -> None:
    """Let a worker ignore the signals that stop a run: the run still needs its batches to finish the current step.

    Terminals send such signals to the whole process group, schedulers to each process. Workers end with their parent.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _collate(samples: list[Any]) -> Any:
    failure = next((sample for sample in samples if isinstance(sample, Failure)), None)
    if failure:
        return failure
    try:
        return stack(samples)
    except Exception as error:
        return Failure(f"samples that do not fit together: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return the reason in one line. If the data are not at fault, the line also names the place in the code."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError):
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(place.filename).name}, line {place.lineno})"
