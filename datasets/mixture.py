"""Join several sources of triplets, and continue without the samples that are missing or corrupt."""

import bisect
import itertools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

import utils

from .triplets import Triplet, TripletSource


class Mixture(TripletSource):
    """A mixture: the triplets of several sources as one source. An epoch shows each triplet once.

    `mixture[i]` is a `Triplet`. `mixture.names[i]` begins with its source, as in "data/vimeo_triplet/00001/0001".
    With `skip_bad`, the next readable triplet takes the place of one that cannot be read. The choice is the same in
    every process and in every run. `mixture.skipped()` names what was replaced, whichever worker met it.

    Attributes:
        parts: the sources by their names.
        bad: (len,) bool in memory that workers share, True for the triplets that could not be read so far. Each
            process of a distributed run has its own; the maximum over all processes holds for the run.
    """

    def __init__(self, parts: Mapping[str, TripletSource], *, skip_bad: bool = False) -> None:
        """Join the sources, in the order given.

        Args:
            parts: the sources by their names.
            skip_bad: replace a triplet that cannot be read, instead of raising its error.
        Raises:
            ValueError: there is no source.
        """
        if not parts:
            raise ValueError("a mixture needs at least one source of triplets, got none")
        self.parts, self.skip_bad = dict(parts), skip_bad
        self.names = [f"{source}/{name}" for source, part in self.parts.items() for name in part.names]
        self.bad = torch.zeros(len(self.names), dtype=torch.bool).share_memory_()
        self.left_out = {f"{s}/{name}": why for s, part in self.parts.items() for name, why in part.left_out.items()}
        self.cached = sum(part.cached for part in self.parts.values())
        self._ends = list(itertools.accumulate(len(part) for part in self.parts.values()))

    def __getitem__(self, index: int) -> Triplet:
        """Read one triplet, (3, H, W) uint8 each.

        Raises:
            IndexError: `index` is past the end.
            ValueError, OSError: the triplet cannot be read. With `skip_bad`: no triplet of the mixture can be read.
        """
        return self._first_good(index, operator.getitem)

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet whose inner frame is near `time`, and the time of that frame. Errors: as by index."""
        return self._first_good(index, lambda part, number: part.moment(number, time))

    def _first_good(self, index: int, read: Callable[[Any, int], Any]) -> Any:
        """Call `read(part, number in the part)` for a triplet. With `skip_bad`, go on until a triplet can be read."""
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
        """Return the names of files that could not be opened and of triplets that could not be read so far.

        Args:
            bad: (len,) bool, the bad triplets of all processes of a run. Default: `bad` of this process.
        """
        numbers = (self.bad if bad is None else bad).nonzero().flatten().tolist()
        return [*self.left_out, *(self.names[number] for number in numbers)]

    def _place(self, index: int) -> tuple[TripletSource, int]:
        """Return the source of a triplet, and its number there."""
        part = bisect.bisect_right(self._ends, index)
        start = self._ends[part - 1] if part else 0
        return list(self.parts.values())[part], index - start

    def _note(self, index: int, error: Exception) -> None:
        if not self.bad[index]:
            self.bad[index] = True
            utils.logger.warning("%s is skipped: %s", self.names[index], error)
