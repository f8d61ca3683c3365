"""The pipeline is arithmetic: how many frames, which, when, how few are made, and how few of them are held."""

import weakref
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.clips import Average
from helpers.rendering import convert, flat

from video import Frame, interpolate_frames
from video.schedule.timeline import SEGMENT, Timeline


def ramp(count: int, step: int = 8) -> list[Frame]:
    return flat(*range(0, count * step, step))


def values(frames: list[Frame]) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in frames]


class Counting(Average):
    """Keeps the pairs it was given."""

    def __init__(self):
        self.pairs = []

    def interpolate(self, img0, img1, **options):
        self.pairs.append((img0.mean().item() * 255, img1.mean().item() * 255))
        return super().interpolate(img0, img1, ratio=None)


@pytest.mark.parametrize("multiplier", [2, 3, 4, 8])
@pytest.mark.parametrize("count", [2, 5])
def test_n_frames_become_n_minus_one_times_multiplier_plus_one(count, multiplier):
    assert len(list(interpolate_frames(flat(*range(count)), Average(), multiplier=multiplier))) == (
        (count - 1) * multiplier + 1
    )


def test_four_times_gives_the_exact_quarters_in_order_and_in_time():
    frames = list(interpolate_frames(flat(0, 200, 80), Average(), multiplier=4))
    assert values(frames) == [0, 50, 100, 150, 200, 170, 140, 110, 80]
    assert [frame.time for frame in frames] == [Fraction(k, 4) for k in range(9)]


def test_middle_frames_are_not_rounded_before_they_are_halved_again():
    assert values(interpolate_frames(flat(0, 3), Average(), multiplier=4)) == [0, 1, 2, 2, 3]  # 0.75, 1.5, 2.25


def test_source_frames_pass_through_as_the_same_images():
    source = flat(7, 9, 11)
    passed = list(interpolate_frames(source, Average(), multiplier=4))[::4]
    assert all(frame.image is expected.image for frame, expected in zip(passed, source, strict=True))


@pytest.mark.parametrize(
    "timeline", [Timeline(multiplier=m) for m in (2, 3, Fraction(5, 2), 7)] + [Timeline(fps=Fraction(13, 7))]
)
@pytest.mark.parametrize("depth", [1, 3, 6])
def test_every_frame_is_the_mix_at_the_nearest_place_to_its_exact_time(timeline, depth):
    source = ramp(9, step=16)
    for made in convert(source, timeline, depth=depth):
        exact = min(made.slot.at, Fraction(8))  # the last frame is held
        assert abs(made.frame.image[0, 0, 0] / 16 - exact) <= Fraction(1, 2 * 2**depth) + Fraction(1, 32)
        assert made.frame.time == made.slot.time
        if exact.denominator == 1:
            assert made.frame.image is source[int(exact)].image


def test_frames_on_the_way_are_made_once_and_only_if_needed():
    model = Counting()
    made = convert(flat(0, 64), Timeline(multiplier=8), depth=3, model=model)
    assert len(model.pairs) == 7 and sum(len(m.calls) for m in made) == 7
    model = Counting()
    convert(flat(0, 64), Timeline(multiplier=3), depth=4, model=model)  # places 5 and 11 of 16
    assert len(set(model.pairs)) == len(model.pairs) == 7
    model = Counting()
    convert(flat(0, 64, 128), Timeline(multiplier=1), model=model)
    assert not model.pairs


class Mixing:
    """A network that makes any time: the mix of both frames. Keeps the times it was asked for."""

    config = SimpleNamespace(any_time=True)

    def __init__(self):
        self.times = []

    def interpolate(self, img0, img1, *, t=0.5, ratio=None):
        self.times.append(t)
        return torch.lerp(img0, img1, t)


@pytest.mark.parametrize("timeline", [Timeline(multiplier=3), Timeline(fps=Fraction(5, 2)), Timeline(multiplier=10)])
def test_a_network_of_any_time_makes_each_frame_at_its_time_by_one_call(timeline):
    model = Mixing()
    made = convert(ramp(5, 60), timeline, model=model)
    for one in made:
        if one.span.frame1 is not None:
            assert one.frame.image[0, 0, 0] == round(float(60 * one.slot.at))
    between = [one for one in made if one.slot.at.denominator > 1 and one.span.frame1 is not None]
    assert len(model.times) == len(between) == sum(len(one.calls) for one in made)


def test_from_24_to_60_a_made_frame_takes_one_call():
    """By halving it would take more than three."""
    source = [frame._replace(time=frame.time / 24) for frame in ramp(25, 2)]
    counts = {}
    for model in (Mixing(), Counting()):
        made = convert(source, Timeline(fps=60), model=model, depth=4)
        between = [one for one in made if one.frame.source.startswith("between")]
        counts[type(model)] = len(getattr(model, "times", getattr(model, "pairs", ()))) / len(between)
    assert counts[Mixing] == 1
    assert counts[Counting] > 2.5


@pytest.mark.parametrize("multiplier", [2, Fraction(5, 2)])
def test_segments_split_the_output_by_source_frames_and_any_of_them_can_be_left_out(multiplier):
    source, timeline = ramp(2 * SEGMENT + 5, step=3), Timeline(multiplier=multiplier)
    whole = convert(source, timeline)
    assert {made.span.segment for made in whole} == {0, 1, 2}
    assert all(made.slot.at // SEGMENT == made.span.segment for made in whole)
    for wanted in ({1}, {0, 2}, set()):
        part = convert(source, timeline, is_wanted=wanted.__contains__)
        expected = [made for made in whole if made.span.segment in wanted]
        assert [made.slot for made in part] == [made.slot for made in expected]
        assert values([made.frame for made in part]) == values([made.frame for made in expected])
        assert [made.calls for made in part] == [made.calls for made in expected]


def test_sixteen_bits_stay_sixteen_bits():
    source = [frame._replace(image=frame.image.astype(np.uint16) * 257 + 3) for frame in flat(10, 11)]
    frames = list(interpolate_frames(source, Average()))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [2573, 2702, 2830]  # 2701.5 rounds to even
    assert all(frame.image.dtype == np.uint16 for frame in frames)


def test_ratio_and_frames_reach_the_network():
    seen = []

    class Recorder:
        def interpolate(self, img0, img1, *, ratio):
            seen.append((img0.shape, img0.dtype, ratio))
            return img0

    list(interpolate_frames(flat(1, 2), Recorder(), ratio=0.01))
    assert seen == [((1, 3, 1, 1), torch.float32, 0.01)]


@pytest.mark.parametrize("multiplier", [2, 16])
def test_memory_holds_a_few_frames_and_one_per_halving(multiplier):
    frames, middles = [], []  # weak references

    def source():
        for index in range(40):
            image = np.full((4, 4, 3), index, np.uint8)
            frames.append(weakref.ref(image))
            yield Frame(image, Fraction(index), "")
            del image

    class Noting(Average):
        def interpolate(self, img0, img1, *, ratio):
            imgt = super().interpolate(img0, img1, ratio=ratio)
            middles.append(weakref.ref(imgt))
            return imgt

    def count(references):
        return sum(reference() is not None for reference in references)

    for _ in interpolate_frames(source(), Noting(), multiplier=multiplier):
        assert count(frames) <= 8
        assert count(middles) <= multiplier.bit_length()
    assert len(frames) == 40 and len(middles) == 39 * (multiplier - 1)


def test_too_few_frames_and_changing_sizes_are_errors():
    with pytest.raises(ValueError, match="no frames"):
        list(interpolate_frames([], Average()))
    with pytest.raises(ValueError, match="frame 1 is the only frame"):
        list(interpolate_frames(flat(1), Average()))
    wide = Frame(np.zeros((1, 2, 3), np.uint8), Fraction(1), "frame 2")
    with pytest.raises(ValueError, match="frame 1 is 1x1 and frame 2 is 2x1"):
        list(interpolate_frames([flat(1)[0], wide], Average()))


def test_a_frame_that_is_not_finite_is_an_error_not_a_black_frame():
    class Broken:
        def interpolate(self, img0, img1, *, ratio):
            return img0 * float("nan")

    with pytest.raises(ValueError, match="NaN"):
        list(interpolate_frames(flat(1, 2), Broken()))
