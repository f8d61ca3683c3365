"""Load samples: the order and the randomness of training samples, and their batches, which processes read ahead.

Order and randomness depend on (seed, epoch, index) alone, so a run can resume. If a process of a loader ends, the main
process gets a one-line error at its next batch.
"""

import multiprocessing
import signal
import threading
import traceback
from collections.abc import Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from .augment import TrainingAugmentation
from .triplets import TripletSource

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)  # they ask a run to stop
MOMENT = 2.0  # seconds
ADVICE = {
    signal.SIGKILL: ", as systems do when memory runs out; use fewer --workers or a smaller --batch_size",
    signal.SIGBUS: ": its shared memory is full; use fewer --workers or a larger /dev/shm",
}


class EpochSampler(Sampler[tuple[int, int]]):
    """A sampler that shuffles each epoch and divides it among processes. It yields (epoch, index).

    Every process gets the same number of samples. Samples that do not fill the last global batch are left out.
    """

    def __init__(self, length: int, batch_size: int, *, rank: int = 0, world_size: int = 1, seed: int = 0) -> None:
        """Set the sizes.

        Args:
            length: number of samples.
            batch_size: samples of one optimizer step on one process.
            rank: the number of this process.
            world_size: number of processes.
            seed: the seed of the order.
        Raises:
            ValueError: the samples do not fill one batch on every process.
        """
        self.length, self.batch_size, self.rank, self.world_size, self.seed = length, batch_size, rank, world_size, seed
        self.epoch, self.first_batch = 0, 0
        if self.batches_per_epoch == 0:
            raise ValueError(
                f"{length} training samples do not fill one batch of {batch_size} on each of {world_size} processes"
            )

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches of each process in one epoch."""
        return self.length // (self.batch_size * self.world_size)

    def start_at(self, epoch: int, batch: int) -> None:
        """Let the next iteration run over `epoch`, beginning with its batch number `batch`."""
        self.epoch, self.first_batch = epoch, batch

    def __len__(self) -> int:
        return (self.batches_per_epoch - self.first_batch) * self.batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(mix_seeds(self.seed, self.epoch))
        order = torch.randperm(self.length, generator=generator)
        batches = order[: self.batches_per_epoch * self.batch_size * self.world_size]
        mine = batches.view(self.batches_per_epoch, self.world_size, self.batch_size)[self.first_batch :, self.rank]
        return iter([(self.epoch, index) for index in mine.flatten().tolist()])


class Sample(NamedTuple):
    """One training sample.

    frames: (3 frames, 3, crop, crop) uint8: img0, imgt, img1.
    time: the time of imgt, where img0 is at 0 and img1 at 1.
    """

    frames: Tensor
    time: float


class TrainingSet(Dataset):
    """The augmented triplets. The index is (epoch, index), and the sample is the same in every worker and process."""

    def __init__(
        self, triplets: TripletSource, augmentation: TrainingAugmentation, *, any_time: float = 0.0, seed: int = 0
    ) -> None:
        """Set the source and its augmentation.

        Args:
            triplets: the triplets to read.
            augmentation: the change of each triplet.
            any_time: probability of an inner frame at any time, if the source has such frames.
            seed: the seed of all samples.
        Raises:
            ValueError: `any_time` lies outside [0, 1].
        """
        if not 0 <= any_time <= 1:
            raise ValueError(f"any_time is a probability and must be between 0 and 1, got {any_time}")
        self.triplets, self.augmentation, self.any_time, self.seed = triplets, augmentation, any_time, seed

    def __getitem__(self, position: tuple[int, int]) -> Sample:
        """Read and augment one triplet.

        Raises:
            ValueError: the triplet is smaller than the crop, or cannot be read. The message names it.
        """
        epoch, index = position
        generator = torch.Generator().manual_seed(mix_seeds(self.seed, epoch, index))
        changes = self.augmentation.draw(generator)
        chance, place = torch.rand(2, generator=generator).tolist()
        if chance < self.any_time:
            triplet, time = self.triplets.moment(index, place)
        else:
            triplet, time = self.triplets[index], 0.5
        try:
            frames = self.augmentation.apply(triplet, changes)
        except ValueError as error:
            raise ValueError(f"{self.triplets.names[index]}: {error}") from error
        return Sample(frames, 1 - time if changes.reverse_time else time)


def mix_seeds(*seeds: int) -> int:
    """Return one seed made of several numbers, by an FNV-1a hash. Neighbouring numbers give unrelated seeds."""
    value = 0xCBF29CE484222325
    for seed in seeds:
        for byte in (seed & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return value >> 1  # fits a signed 64-bit seed


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
            if isinstance(batch, ValueError):
                raise batch
            yield batch

    def close(self) -> None:
        """Kill the workers at once. They hold nothing that must be saved."""
        for worker in self._workers:
            worker.kill()
            worker.join()


def watched(loader: DataLoader, workers: list[BaseProcess] | None = None) -> Iterator[Any]:
    """Yield the batches of a loader.

    Args:
        workers: a list to which the loader's processes are added when they start.
    Raises:
        OSError: a worker ended. The message names the signal.
    """
    workers = [] if workers is None else workers
    try:
        yield from _start(loader, workers)
    except Exception as error:
        # PyTorch raises a RuntimeError, or a transfer breaks off, shortly before the process is gone.
        if workers:
            wait([worker.sentinel for worker in workers], timeout=MOMENT)
        ended = [worker for worker in workers if worker.exitcode]
        if not ended:
            raise
        raise OSError("; ".join(map(_describe_end, ended))) from error


def _start(loader: DataLoader, workers: list[BaseProcess]) -> Iterator[Any]:
    """Return an iterator over the loader, and add its new processes to the workers."""
    before = multiprocessing.active_children()
    try:
        return iter(loader)
    finally:
        workers += [child for child in multiprocessing.active_children() if child not in before]
        if threading.current_thread() is threading.main_thread():
            # When a worker ends, PyTorch's own handler raises at any line of this process, even while it writes a file.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _describe_end(worker: BaseProcess) -> str:
    code, reason = worker.exitcode or 0, f"exited with status {worker.exitcode}"
    if code < 0:
        number = signal.Signals(-code) if -code in {*map(int, signal.Signals)} else None
        reason = f"was ended by {number.name if number else f'signal {-code}'}{ADVICE.get(number, '')}"
    return f"data loading process {worker.pid} {reason}"


class _Guarded(Dataset):
    """The samples of a dataset, with a ValueError in the place of a sample that cannot be read.

    Raised in a worker, it would reach the main process as pages of text.
    """

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.data[index]
        except Exception as error:
            return ValueError(_reason(error))


def _ignore_signals(worker: int) -> None:
    """Let a worker ignore the signals that stop a run: the run still needs its batches to finish the current step.

    Terminals send such signals to the whole process group, schedulers to each process. Workers end with their parent.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _collate(samples: list[Any]) -> Any:
    failure = next((sample for sample in samples if isinstance(sample, ValueError)), None)
    if failure:
        return failure
    try:
        return default_collate(samples)
    except Exception as error:
        return ValueError(f"samples that do not fit together: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return the reason in one line. If the data are not at fault, the line also names the place in the code."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError):
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(place.filename).name}, line {place.lineno})"
