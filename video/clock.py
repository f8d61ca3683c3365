"""Times of frames, exact where the file rounds them, and sane where it lies."""

import logging
from fractions import Fraction
from pathlib import Path

logger = logging.getLogger("waveletvfi")

LONGEST = 600  # seconds: a later next frame is a damaged time, not a still picture


class Clock:
    """Times of frames: exactly on the grid of the nominal rate where the file, in its coarser unit, says about that."""

    def __init__(self, rate: Fraction, unit: Fraction, path: Path, *, first: Fraction | None = None):
        """first: time of the file's first frame where the ticks begin later (after a seek)."""
        self._rate, self._unit, self._path, self._first = rate, unit, path, first
        self._last: Fraction | None = None
        self._is_steady = True

    def tick(self, time: Fraction | None) -> Fraction:
        """The time of the next frame, given what the file says (None: nothing)."""
        if self._first is None:
            self._first = self._last = time if time is not None and abs(time) <= LONGEST else Fraction(0)
            return self._first
        expected = self._first if self._last is None else self._last + 1 / self._rate
        if time is None:
            time = expected
        nearest = self._first + round((time - self._first) * self._rate) / self._rate
        if abs(nearest - time) <= self._unit < 1 / (4 * self._rate):
            time = nearest
        if self._last is not None and not 0 < time - self._last <= LONGEST:
            if self._is_steady:
                logger.warning(
                    "%s: frame times do not increase, or jump; one period is put between such frames", self._path
                )
            self._is_steady = False
            time = expected
        self._last = time
        return time
