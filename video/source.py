"""The frames of a reader as far as they can be read, and when the last one ends."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

from .damage import DamagedVideo
from .frame import Frame

LONGEST_PAUSE = 600  # seconds between two frames; more is a damaged clock


class Reader(Protocol):
    """What of a reader is used here."""

    rate: Fraction
    total: int | None
    duration: Fraction | None
    is_duration_own: bool
    damage: str | None

    def frames(self) -> Iterator[Frame]:
        """In the order of their times."""


class Source:
    """Attributes, known when the frames have ended: damage, what is wrong with the input, None for nothing; start, end:
    times at which the first one begins and the last one ends; is_whole: they go on to the end of the input."""

    def __init__(self, reader: Reader, *, seconds: Fraction | None = None):
        """seconds: only the frames before this time."""
        self.reader, self._seconds = reader, seconds
        self._next: Fraction | None = None  # time of the first frame left out
        self._last: Frame | None = None
        self.damage: str | None = None
        self.start = self.end = Fraction(0)
        self.is_whole = seconds is None
        self._lost_until: Fraction | None = None  # pictures that cannot be decoded, at the end

    def frames(self) -> Iterator[Frame]:
        """The reader's, up to the damage, if there is any behind the first two. Raises ValueError for damage before."""
        count, last = 0, None
        try:
            for frame in self.reader.frames():
                if self._seconds is not None and frame.time >= self._seconds:
                    self._next = frame.time
                    self.damage = self.reader.damage
                    return
                if last is not None and frame.time - last > LONGEST_PAUSE:
                    pause = float(frame.time - last)
                    raise DamagedVideo(
                        f"{frame.source} comes {pause:.0f} s after the one before", count=count, time=last
                    )
                if last is None:
                    self.start = frame.time
                count, last, self._last = count + 1, frame.time, frame
                yield frame
        except ValueError as error:  # a damaged video, or an image that cannot be read
            if count < 2:
                raise
            self.damage = str(error)
            if isinstance(error, DamagedVideo):
                self._lost_until = error.end
            if not isinstance(error, DamagedVideo) or error.breaks_off:
                self.is_whole = False

    @property
    def total(self) -> int | None:
        """Expected number of frames, None if the file does not say."""
        total = self.reader.total
        if total and self._seconds is not None:
            total = min(total, math.ceil(self._seconds * self.reader.rate))
        return total

    def until(self, last: Fraction, longest: Fraction) -> Fraction:
        """When the frame at `last` ends: as the file says, if that can be believed, else after a period.

        Args:
            longest: time between two frames, in seconds.
        """
        period = lasts = 1 / self.reader.rate
        if self._lost_until is not None and last < self._lost_until <= last + LONGEST_PAUSE:
            lasts = max(period, self._lost_until - last)
        elif self.damage is None or self.is_whole:
            lasts = self._lasts(last, longest) or period
        self.end = last + lasts if self._next is None else self._next
        if self._seconds is not None:
            self.end = min(self.end, max(self._seconds, last + min(lasts, longest)))
        return self.end

    def _lasts(self, last: Fraction, longest: Fraction) -> Fraction | None:
        """How long the last frame is shown, said by the file of its picture or of this frame; None for nothing usable.

        The file's word is more exact. It is also taken of a file with other streams, but then only for a usual time:
        sound may last longer than the picture.
        """
        usual = 2 * longest
        rest = (self.reader.duration or last) - last
        own = self._last.lasts if self._last is not None and self._last.lasts is not None else Fraction(0)
        rest = rest if 0 < rest <= (LONGEST_PAUSE if self.reader.is_duration_own else usual) else Fraction(0)
        own = own if 0 < own <= LONGEST_PAUSE else Fraction(0)
        if own > usual:
            return max(rest, own)
        return rest or own or None
