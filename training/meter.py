"""Means over an interval of a run: its losses, how fast it is, and how much of its time it waits for its loader."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from models.losses import Loss

Item = TypeVar("Item")


class Throughput(NamedTuple):
    """samples_per_second: of all processes together. loader_share: part of the time spent waiting for data, 0 to 1."""

    samples_per_second: float
    loader_share: float


class LossMeans:
    """The mean of every term of the loss over the steps since the last reading; steps that are not finite are left out,
    as the trainer skips them. Nothing is brought from the device before it is read."""

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._count: Tensor | float = 0.0

    def add(self, loss: Loss) -> None:
        """Take in the terms of one step."""
        terms = torch.stack(loss).detach()
        finite = terms.isfinite().all()
        self._sum = self._sum + terms.where(finite, 0)
        self._count = self._count + finite

    def read(self) -> Loss:
        """Return the means, NaN if no step was finite, and begin anew."""
        means = Loss(*(self._sum / self._count))
        self._sum = self._count = 0.0
        return means


class Meter:
    """Measures a loop over batches; what happens outside of the loop (validation) does not count."""

    def __init__(self, samples_per_step: int):
        self.samples_per_step = samples_per_step
        self.steps, self.waiting, self.working, self._mark = 0, 0.0, 0.0, 0.0

    def watch(self, batches: Iterable[Item]) -> Iterator[Item]:
        """`batches`, one by one, while the clock runs."""
        self._mark = time.monotonic()
        for batch in batches:
            self.waiting += self._since_mark()
            self.steps += 1
            yield batch
            self.working += self._since_mark()

    def read(self) -> Throughput:
        """Since the last reading; to be called inside of the loop."""
        self.working += self._since_mark()
        seconds = self.waiting + self.working
        result = Throughput(self.samples_per_step * self.steps / seconds, self.waiting / seconds)
        self.steps, self.waiting, self.working = 0, 0.0, 0.0
        return result

    def _since_mark(self) -> float:
        before, self._mark = self._mark, time.monotonic()
        return self._mark - before
