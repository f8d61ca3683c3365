"""Several sources of triplets as one, which can go on where samples are missing or corrupt."""

import bisect
import itertools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

import utils

from .triplets import Triplet, TripletSource


class Mixture(Dataset):
    """All triplets of all sources, one source after the other, so that an epoch shows each once.

    `mixture[i]` is a `Triplet`; `mixture.names[i]` begins with its source: "data/vimeo_triplet/00001/0001". With
    `skip_bad`, a triplet that cannot be read is replaced by the next one that can, the same in every process and in
    every run, and `mixture.skipped()` names those that were, whichever worker met them.

    Attributes:
        parts: the sources by their names.
        bad: (len,) bool, in memory that workers share: the triplets that turned out bad so far. Processes of a
            distributed run each have their own; the maximum over them is the count of all.
    """

    def __init__(self, parts: Mapping[str, TripletSource], *, skip_bad: bool = False) -> None:
        """Line up the sources. Raises ValueError where there is none."""
        if not parts:
            raise ValueError("a mixture needs at least one source of triplets, got none")
        self.parts, self.skip_bad = dict(parts), skip_bad
        self.names = [f"{source}/{name}" for source, part in self.parts.items() for name in part.names]
        self.bad = torch.zeros(len(self.names), dtype=torch.bool).share_memory_()
        self._ends = list(itertools.accumulate(len(part) for part in self.parts.values()))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Triplet:
        """(3, H, W) uint8 each.

        Raises:
            IndexError: past the end.
            ValueError, OSError: the triplet cannot be read; with `skip_bad`, none can.
        """
        return self._first_good(index, operator.getitem)

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return the outer frames of a triplet with a frame near `time`, and its time; errors as by index."""
        return self._first_good(index, lambda part, number: part.moment(number, time))

    def _first_good(self, index: int, read: Callable[[Any, int], Any]) -> Any:
        """Read a triplet with `read(part, number in the part)`; with `skip_bad`, the next one that can be read."""
        if not 0 <= index < len(self):
            raise IndexError(f"no triplet {index}: there are {len(self)}")
        if not self.skip_bad:
            return read(*self._place(index))
        for candidate in range(index, index + len(self)):
            candidate %= len(self)
            try:
                return read(*self._place(candidate))
            except (ValueError, OSError) as error:
                self._note(candidate, error)
        raise ValueError(f"none of the {len(self)} triplets can be read, from {self.names[0]} to {self.names[-1]}")

    def skipped(self, bad: Tensor | None = None) -> list[str]:
        """Name what was left out so far: files that could not be opened, then triplets that could not be read.

        Args:
            bad: (len,), the triplets that turned out bad in all processes of a run; default: in this one, `self.bad`.
        """
        files = [f"{source}/{name}" for source, part in self.parts.items() for name in part.left_out]
        return files + [self.names[index] for index in (self.bad if bad is None else bad).nonzero().flatten().tolist()]

    def _place(self, index: int) -> tuple[TripletSource, int]:
        """Return the source of a triplet, and its number there."""
        part = bisect.bisect_right(self._ends, index)
        start = self._ends[part - 1] if part else 0
        return list(self.parts.values())[part], index - start

    def _note(self, index: int, error: Exception) -> None:
        if not self.bad[index]:
            self.bad[index] = True
            utils.logger.warning("%s is skipped: %s", self.names[index], error)
