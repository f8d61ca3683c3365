"""Make the planned frames: copy source frames, and make those between them, at their times or by halving.

A network that makes frames at any time makes each frame by one call. A network that makes the middle frame alone halves
the time between two frames again and again.
"""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch

from ..frame import Frame
from ..schedule.scenes import SCENE_THRESHOLD
from ..schedule.timeline import Slot, Span, Timeline, place_of, plan
from .alpha import Picture, between, to_images, to_picture
from .network import Call, Model, Network


class Between(NamedTuple):
    """A frame that was made.

    place: place between its two frames, 0 to 1.
    image: (H, W, 3), as in a `Frame`.
    alpha: (H, W) or None, as in a `Frame`.
    calls: cost of this frame, and of the frames that were made on the way to it.
    """

    place: Fraction
    image: np.ndarray
    alpha: np.ndarray | None
    calls: list[Call]


Way = Callable[[Iterable[Span], Network], Generator[tuple[Span, Iterator[Between]], None, None]]


class Made(NamedTuple):
    """One frame of the output.

    frame: the picture, with its time in the output.
    slot: slot of the frame in the plan.
    span: span of the slot.
    calls: cost of the middle frames that were computed for this frame, and for later ones.
    """

    frame: Frame
    slot: Slot
    span: Span
    calls: list[Call]


def interpolate_frames(
    frames: Iterable[Frame],
    model: Model,
    *,
    multiplier: Fraction | int = 2,
    ratio: float | None = None,
    budget: float | None = None,
    device: torch.device | str = "cpu",
    threshold: float = SCENE_THRESHOLD,
) -> Iterator[Frame]:
    """Interpolate frames in memory. `video.convert` does it with files. The last frame is that of `frames`.

    A few frames and one per halving are kept in memory, however long `frames` is. If the frames have alpha, so do the
    made ones.

    Args:
        frames: frames in the order of their times, of one size.
        model: the network, in evaluation mode, on `device`.
        multiplier: number of output frames per input frame.
        ratio, budget, device: as in `Network`.
        threshold: threshold of cuts, at which frames are held, see `schedule/scenes.py`.
    Raises:
        ValueError: the multiplier is below 1. While iterating: there are fewer than two frames, sizes differ, or a
            middle frame is not finite or needs too much memory.
    """
    timeline = Timeline(multiplier=multiplier)
    network = Network(model, ratio=ratio, budget=budget, device=device)
    depth = timeline.halvings(Fraction(1))
    spans = plan(frames, timeline, until=lambda last, longest: last + longest, threshold=threshold)
    for made in render(spans, network, depth):
        if made.span.frame1 is not None or made.slot.at == made.span.frame0.time:
            yield made.frame


def render(spans: Iterable[Span], network: Network, depth: int, way: Way | None = None) -> Iterator[Made]:
    """Make the frames of `spans`, each at its time between its two source frames.

    A network that makes the middle alone makes each frame at the nearest multiple of 1/2^depth. Middle frames on the
    way are made once for all frames of a span, and are not rounded before they are halved again.

    Args:
        spans: spans of the plan.
        network: the network with its options.
        depth: depth of halving.
        way: makes the frames of each span, in order. Default: `make_here`.
    """
    steps = None if network.any_time else 2**depth
    placed = (span._replace(places=_places(span, steps)) for span in spans)
    with contextlib.closing((way or make_here)(placed, network)) as spans_made:
        for span, found in spans_made:
            yield from _fill_slots(span, found)


def _fill_slots(span: Span, found: Iterator[Between]) -> Iterator[Made]:
    """Yield the frames of a span's slots. `found` yields the made frames in order."""
    frame0, frame1, done = span.frame0, span.frame1, None
    for slot, place in zip(span.slots, span.places, strict=True):
        calls: list[Call] = []
        if place in (0, 1):
            frame = (frame1 if place else frame0)._replace(time=slot.time)
        else:
            if done is None or place != done.place:
                done = next(found)
                calls = done.calls
            frame = Frame(done.image, slot.time, f"between {frame0.source} and {frame1.source}", alpha=done.alpha)
        yield Made(frame, slot, span, calls)


def make_here(spans: Iterable[Span], network: Network) -> Generator[tuple[Span, Iterator[Between]], None, None]:
    """Yield each span with its frames. This process makes them when they are read."""
    maker = Maker(network)
    for span in spans:
        yield span, maker.make(span)


class Maker:
    """A maker of frames between two. It keeps the second one in the network's form for the next pair."""

    def __init__(self, network: Network):
        self._network = network
        self._last: tuple[Frame, Picture] | None = None

    def make(self, span: Span) -> Iterator[Between]:
        """Make the wanted frames of a span, in order."""
        if not span.wanted:
            return
        last = self._last
        img0 = last[1] if last and last[0] is span.frame0 else to_picture(span.frame0, self._network)
        img1 = to_picture(span.frame1, self._network)
        self._last = span.frame1, img1
        calls: list[Call] = []
        for place, picture in make_between(img0, img1, span.wanted, self._network, calls):
            yield Between(place, *to_images(picture, span.frame0.image.dtype), calls.copy())
            calls.clear()


def _places(span: Span, steps: int | None) -> list[Fraction]:
    """Return the place of each slot's frame. `steps` is as in `place_of`."""
    if span.frame1 is None or span.is_cut:
        return [Fraction(0)] * len(span.slots)
    return [place_of(slot.at, span.frame0.time, span.frame1.time, steps) for slot in span.slots]


def make_between(
    img0: Picture, img1: Picture, wanted: list[Fraction], network: Network, calls: list[Call]
) -> Iterator[tuple[Fraction, Picture]]:
    """Yield the wanted frames (place, frame) between img0, at 0, and img1, at 1, in order, as described in `render`.

    Args:
        img0, img1: the two pictures.
        wanted: places in order. For a network that makes the middle alone, they are multiples of 1 / 2^depth.
        network: the network with its options.
        calls: a list that the costs are appended to.
    """
    way = _at_times if network.any_time else _halve
    return way(img0, img1, wanted, network, calls)


def _at_times(
    img0: Picture, img1: Picture, wanted: list[Fraction], network: Network, calls: list[Call]
) -> Iterator[tuple[Fraction, Picture]]:
    """Make each wanted frame (place, frame) by one call, in order."""
    for place in wanted:
        imgt, call = between(network, img0, img1, float(place))
        calls.append(call)
        yield place, imgt


def _halve(
    img0: Picture,
    img1: Picture,
    wanted: list[Fraction],
    network: Network,
    calls: list[Call],
    start: Fraction = Fraction(0),
    end: Fraction = Fraction(1),
) -> Iterator[tuple[Fraction, Picture]]:
    """Make the wanted frames (place, frame) between `start`, the place of img0, and `end`, that of img1, in order."""
    if not any(start < place < end for place in wanted):
        return
    imgt, call = between(network, img0, img1)
    calls.append(call)
    place = (start + end) / 2
    yield from _halve(img0, imgt, wanted, network, calls, start, place)
    if place in wanted:
        yield place, imgt
    yield from _halve(imgt, img1, wanted, network, calls, place, end)
