"""Turn the plan into frames: copy source frames, and make those between, at their times or by halving."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch

from ..frame import Frame
from ..schedule.plan import Span, plan
from ..schedule.scenes import SCENE_THRESHOLD
from ..schedule.timeline import Slot, Timeline, place_of
from .alpha import Picture, between, to_images, to_picture
from .network import Call, Model, Network


class Step(NamedTuple):
    """A span with the places, 0 to 1 between its two frames, at which its slots' frames are made."""

    span: Span
    places: list[Fraction]

    @property
    def wanted(self) -> list[Fraction]:
        """Return the places at which a frame has to be made, in order; source frames are copied."""
        return sorted(set(self.places) - {0, 1})


class Between(NamedTuple):
    """A frame that was made.

    place: 0 to 1 between its two frames.
    image, alpha: as in a `Frame`.
    calls: cost of it, and of the frames made on the way to it.
    """

    place: Fraction
    image: np.ndarray
    alpha: np.ndarray | None
    calls: list[Call]


Way = Callable[[Iterable[Step], Network], Generator[tuple[Step, Iterator[Between]], None, None]]


class Made(NamedTuple):
    """One frame of the output.

    frame: the picture, with its time in the output.
    slot, span: its place in the plan.
    calls: cost of the middle frames that were computed for it, and for those after it.
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
    """Interpolate frames in memory; `video.convert` does it with files. Ends with the last of `frames`.

    Holds a few given frames and one per halving, however long `frames` is. If frames have alpha, so do those made.

    Args:
        multiplier: how many times as many frames.
        ratio, budget, device: as in `Network`.
        threshold: threshold of cuts, which are held, see `schedule/scenes.py`.
    Raises:
        ValueError: a multiplier below 1. While iterating: fewer than two frames, sizes that change, a middle frame
            that is not finite or needs more memory than there is.
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

    A network that makes the middle alone halves again and again: each frame is made at the nearest of 2^depth
        places. Middle frames on the way are made once for all frames of a span, and are not rounded before they are
        halved again.

    Args:
        way: makes the frames that each step wants, in order; default: `make_here`.
    """
    steps = None if network.any_time else 2**depth
    planned = (Step(span, _places(span, steps)) for span in spans)
    with contextlib.closing((way or make_here)(planned, network)) as steps_made:
        for step, found in steps_made:
            yield from _fill_slots(step, found)


def _fill_slots(step: Step, found: Iterator[Between]) -> Iterator[Made]:
    """Give the frames of a step's slots. `found`: the frames that it wants, in order."""
    span, done = step.span, None
    frame0, frame1 = span.frame0, span.frame1
    for slot, place in zip(span.slots, step.places, strict=True):
        calls: list[Call] = []
        if place in (0, 1):
            frame = (frame1 if place else frame0)._replace(time=slot.time)
        else:
            if done is None or place != done.place:
                done = next(found)
                calls = done.calls
            frame = Frame(done.image, slot.time, f"between {frame0.source} and {frame1.source}", alpha=done.alpha)
        yield Made(frame, slot, span, calls)


def make_here(planned: Iterable[Step], network: Network) -> Generator[tuple[Step, Iterator[Between]], None, None]:
    """Give each step with its frames, which this process makes when they are asked for."""
    maker = Maker(network)
    for step in planned:
        yield step, maker.make(step.span.frame0, step.span.frame1, step.wanted)


class Maker:
    """Makes frames between two. Keeps the second one in the network's form, for the next two."""

    def __init__(self, network: Network):
        self._network = network
        self._last: tuple[Frame, Picture] | None = None

    def make(self, frame0: Frame, frame1: Frame | None, wanted: list[Fraction]) -> Iterator[Between]:
        """Make the frames at the `wanted` places, in order; `frame1` may be None if there are none."""
        if not wanted:
            return
        last = self._last
        img0 = last[1] if last and last[0] is frame0 else to_picture(frame0, self._network)
        img1 = to_picture(frame1, self._network)
        self._last = frame1, img1
        calls: list[Call] = []
        for place, picture in make_between(img0, img1, wanted, self._network, calls):
            yield Between(place, *to_images(picture, frame0.image.dtype), calls.copy())
            calls.clear()


def _places(span: Span, steps: int | None) -> list[Fraction]:
    """Return where each slot's frame is made. `steps`: as in `place_of`."""
    if span.frame1 is None or span.is_cut:
        return [Fraction(0)] * len(span.slots)
    return [place_of(slot.at, span.frame0.time, span.frame1.time, steps) for slot in span.slots]


def make_between(
    img0: Picture, img1: Picture, wanted: list[Fraction], network: Network, calls: list[Call]
) -> Iterator[tuple[Fraction, Picture]]:
    """Make the wanted frames (place, frame) between img0, at 0, and img1, at 1, in order: see `render`.

    Args:
        wanted: places in order; multiples of some 1 / 2^depth for a network that makes the middle alone.
        calls: takes the costs.
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
