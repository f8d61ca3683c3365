"""Which frames the output has, and between which two of the source's each is to be made."""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple

from ..frame import Frame
from .scenes import SCENE_THRESHOLD, watch
from .timeline import Slot, Timeline

SEGMENT = 32  # source frames whose output is encoded on its own: what a crash loses, and what processes share out


class Span(NamedTuple):
    """Consecutive frames of the output between two of the source.

    frame0, frame1: the frames before and after; frame1 is None after the last. is_cut: they are of different scenes, or
    pictures between them are lost.
    segment: number of the output's segment. slots: the output's frames from frame0 until before frame1.
    """

    frame0: Frame
    frame1: Frame | None
    is_cut: bool
    segment: int
    slots: list[Slot]


def plan(
    frames: Iterable[Frame],
    timeline: Timeline,
    *,
    until: Callable[[Fraction, Fraction], Fraction],
    threshold: float = SCENE_THRESHOLD,
    drop_duplicates: bool = False,
    is_wanted: Callable[[int], bool] = lambda segment: True,
) -> Iterator[Span]:
    """The output's frames in order, as soon as the frames they lie between are known.

    Args:
        frames: at least two.
        until: from the time of the last frame and the longest time between two, when the last one ends. If that is at
            once, it only ends the time of the one before, and is no frame of the output.
        threshold: of cuts, see `video.content`.
        drop_duplicates: leave repeated frames out; those in their place are interpolated.
        is_wanted: whether a segment is to be made.
    Raises:
        ValueError: fewer than two frames, sizes that change.
    """
    index, first, longest, last, verdict = -1, Fraction(0), Fraction(0), None, None
    kept: Frame | None = None
    slots: list[Slot] = []
    for index, (frame, step) in enumerate(watch(frames, threshold=threshold)):
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
