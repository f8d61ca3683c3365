"""Plan the output's frames: their exact times, and the two source frames between which each one is made.

A slot is one frame of the output, with its time. A span is the stretch between two source frames. A segment is a number
of consecutive slots whose frames are encoded on their own.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple

from ..frame import Frame
from .scenes import SCENE_THRESHOLD, watch

LARGEST = 1000  # largest multiplier, rate or stretch; a larger one is a typing error
DEPTH = 4  # usual depth of halving: frames are made at multiples of 1/2^4
DEEPEST = 10  # largest depth of halving
HALF = Fraction(1, 2)
NEAR = Fraction(1, 64)  # part of the time between two frames; a frame that is closer to one of them is a copy of it
SEGMENT = 32  # source frames per segment; a crash loses one segment at most, and processes share segments out


class Slot(NamedTuple):
    """One frame of the output.

    number: number of the frame in the output, from 0.
    index: number of the last source frame at or before it, from 0.
    at: time of the frame on the source's clock, in seconds.
    time: time of the frame in the output, in seconds.
    """

    number: int
    index: int
    at: Fraction
    time: Fraction


class Timeline:
    """The times of an output's frames: `multiplier` times as many frames as the source has, or `fps` per second.

    With a multiplier, frames lie between the source's own times, so a variable rate stays variable. With `fps`, the
    output's rate is constant. `slow` stretches time. If no multiplier is given, `slow` is also the multiplier, so the
    rate stays the same.
    """

    def __init__(
        self,
        *,
        multiplier: Fraction | int | None = None,
        fps: Fraction | int | None = None,
        slow: Fraction | int = 1,
        from_zero: bool = False,
    ):
        """Choose the times.

        Args:
            multiplier: number of output frames per source frame. Default: `slow` if it is not 1, else 2.
            fps: frames per second of the output, instead of a multiplier.
            slow: the output lasts this many times as long.
            from_zero: True to begin at 0; False to begin at the time of the source's first frame.
        Raises:
            ValueError: both multiplier and fps are given, or a value is out of range.
        """
        if multiplier is not None and fps is not None:
            raise ValueError(f"give a multiplier ({multiplier}) or a rate ({fps}), not both")
        for name, value, least in (("multiplier", multiplier, 1), ("fps", fps, 0), ("slow", slow, 0)):
            if value is not None and not (least <= value <= LARGEST and value > 0):
                bound = f"at least {least}" if least else f"above {least}"
                raise ValueError(f"{name} must be {bound} and at most {LARGEST}, got {value}")
        self.fps = None if fps is None else Fraction(fps)
        self.slow, self._from_zero = Fraction(slow), from_zero
        self._multiplier = Fraction(multiplier or (max(slow, 1) if slow != 1 else 2))

    def slots(self, index: int, start: Fraction, end: Fraction, first: Fraction) -> Iterator[Slot]:
        """Yield the output's frames from one source frame until before the next one. Times are in seconds.

        Args:
            index: number of the source frame.
            start: time of the source frame.
            end: time of the next source frame.
            first: time of the source's first frame, from which the output's times are counted.
        """
        if self.fps is None:
            numbers = range(math.ceil(index * self._multiplier), math.ceil((index + 1) * self._multiplier))
            times = (start + (number / self._multiplier - index) * (end - start) for number in numbers)
        else:
            step = 1 / (self.fps * self.slow)
            numbers = range(math.ceil((start - first) / step), math.ceil((end - first) / step))
            times = (first + number * step for number in numbers)
        for number, at in zip(numbers, times, strict=True):
            yield Slot(number, index, at, self.stretch(at, first))

    def rate(self, source: Fraction) -> Fraction:
        """Return the nominal frames per second of the output, given those of the source."""
        return self.fps or source * self._multiplier / self.slow

    def constant(self, source: Fraction) -> "Timeline":
        """Return a timeline with the same rate, but at even times, given the source's rate."""
        return Timeline(fps=self.rate(source), slow=self.slow, from_zero=self._from_zero)

    def total(self, count: int, source: Fraction) -> int:
        """Return the number of output frames for `count` source frames at a constant rate."""
        return math.ceil(count / source * self.slow * self.rate(source))

    def unit(self, source: Fraction) -> Fraction:
        """Return a number of seconds that divides the output's times, if `source` divides the source's times."""
        return source / self.slow.denominator / (1 if self.fps else self._multiplier.numerator)

    def stretch(self, at: Fraction, first: Fraction) -> Fraction:
        """Return the time in the output of a time on the source's clock."""
        return (0 if self._from_zero else first) + (at - first) * self.slow

    def halvings(self, source: Fraction) -> int:
        """Return the depth of halving that is needed for neighbouring frames to differ, at least `DEPTH`."""
        return min(max(DEPTH, math.ceil(math.log2(self.rate(source) * self.slow / source))), DEEPEST)


def place_of(at: Fraction, start: Fraction, end: Fraction, steps: int | None) -> Fraction:
    """Return the place between two frames, 0 to 1, at which the frame of the time `at` is made.

    Args:
        at: time of the frame.
        start, end: times of the two frames.
        steps: round the place to a multiple of 1 / steps; of two equally near ones, to the later. None: use the exact
            place, but copy a source frame that is nearer than `NEAR`.
    """
    place = (at - start) / (end - start)
    if steps is None:
        return Fraction(0) if place < NEAR else Fraction(1) if place > 1 - NEAR else place
    return Fraction(math.floor(place * steps + HALF), steps)


def rational(text: str) -> Fraction:
    """Parse a number such as 60, 2.5 or 60000/1001.

    Decimals of television's rates (23.976, 29.97, 59.94) stand for n * 1000/1001.

    Raises:
        ValueError: the text is not a number.
    """
    try:
        rate = Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{text} divides by zero") from None
    whole = Fraction(math.ceil(rate) * 1000, 1001)
    is_television = "." in text and math.ceil(rate) in (24, 30, 48, 60, 120) and abs(rate - whole) < Fraction(1, 200)
    return whole if is_television else rate


def moment(text: str) -> Fraction:
    """Parse a time, such as 90, 1:30 or 0:01:30.5, as seconds.

    Raises:
        ValueError: the text is not such a time.
    """
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text.strip()):
        raise ValueError(f"{text} is not a time such as 90, 1:30 or 0:01:30.5")
    return sum((Fraction(part) * 60**power for power, part in enumerate(reversed(text.split(":")))), Fraction(0))


class Span(NamedTuple):
    """Consecutive frames of the output between two frames of the source.

    frame0, frame1: the frames before and after; frame1 is None after the last.
    is_cut: they belong to different scenes, or pictures between them are lost.
    segment: number of the output's segment.
    slots: the output's frames from frame0 until before frame1.
    places: place of each slot between the two frames, 0 to 1; `render` sets them.
    """

    frame0: Frame
    frame1: Frame | None
    is_cut: bool
    segment: int
    slots: list[Slot]
    places: Sequence[Fraction] = ()

    @property
    def wanted(self) -> list[Fraction]:
        """The places at which frames must be made, in order. At places 0 and 1, source frames are copied."""
        return sorted(set(self.places) - {0, 1})


def plan(
    frames: Iterable[Frame],
    timeline: Timeline,
    *,
    until: Callable[[Fraction, Fraction], Fraction],
    threshold: float = SCENE_THRESHOLD,
    drop_duplicates: bool = False,
    is_wanted: Callable[[int], bool] = lambda segment: True,
) -> Iterator[Span]:
    """Yield the spans of the output in order, as soon as the frames on both sides are known.

    Args:
        frames: frames of the source, at least two.
        timeline: times of the output's frames.
        until: returns the end of the last frame, given its time and the longest time between two frames, in seconds. If
            it ends at once, it only ends the frame before, and is not in the output.
        threshold: threshold of cuts, see `schedule/scenes.py`.
        drop_duplicates: leave repeated frames out, and interpolate in their place.
        is_wanted: returns True if a segment is to be made.
    Raises:
        ValueError: there are fewer than two frames, or their sizes differ.
    """
    index, first, longest, last, verdict = -1, Fraction(0), Fraction(0), None, None
    kept: Frame | None = None
    slots: list[Slot] = []
    watched = watch(frames, threshold=threshold, finds_duplicates=drop_duplicates)
    for index, (frame, step) in enumerate(watched):
        if last is None:
            kept, first = frame, frame.time
        else:
            slots += timeline.slots(index - 1, last.time, frame.time, first)
            longest = max(longest, frame.time - last.time)
            if frame.is_after_gap or not (drop_duplicates and verdict.is_duplicate):
                yield from _by_segment(kept, frame, verdict.is_cut or frame.is_after_gap, slots, is_wanted)
                kept, slots = frame, []
        last, verdict = frame, step
    if index < 1:
        found = f"{last.source} is the only frame" if last else "there are no frames"
        raise ValueError(f"{found}; at least two are needed")
    if (end := until(last.time, longest)) > last.time:
        slots += timeline.slots(index, last.time, end, first)
    yield from _by_segment(kept, None, False, slots, is_wanted)


def _by_segment(
    frame0: Frame, frame1: Frame | None, is_cut: bool, slots: list[Slot], is_wanted: Callable[[int], bool]
) -> Iterator[Span]:
    for segment, group in groupby(slots, key=lambda slot: slot.index // SEGMENT):
        if is_wanted(segment):
            yield Span(frame0, frame1, is_cut, segment, list(group))
