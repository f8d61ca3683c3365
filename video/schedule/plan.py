"""Plan the output's frames: their times, and the two source frames between which each one is made.

A span is the stretch between two source frames. A slot is one frame of the output, with its time. A segment is a number
of consecutive slots whose frames are encoded on their own.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import groupby
from typing import NamedTuple

from ..frame import Frame
from .scenes import SCENE_THRESHOLD, watch
from .timeline import Slot, Timeline

SEGMENT = 32  # source frames per segment; a crash loses one segment at most, and processes share segments out


class Span(NamedTuple):
    """Consecutive frames of the output between two frames of the source.

    frame0, frame1: the frames before and after; frame1 is None after the last.
    is_cut: they belong to different scenes, or pictures between them are lost.
    segment: number of the output's segment.
    slots: the output's frames from frame0 until before frame1.
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
