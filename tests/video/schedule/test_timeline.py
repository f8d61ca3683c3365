"""Output times are arithmetic: exact, evenly spread, as long as the source, without drift."""

import itertools
import math
from fractions import Fraction

import pytest

from video.schedule.timeline import NEAR, Timeline, place_of, rational

FILM, NTSC = Fraction(24000, 1001), Fraction(60000, 1001)
UNEVEN = [Fraction(k) for k in (0, 1, 3)] + [Fraction(7, 2), Fraction(50, 9), Fraction(8)]  # a variable rate


def lay_out(timeline: Timeline, times: list[Fraction], end: Fraction) -> list:
    """All slots of a source whose frames are at `times`, the last one until `end`."""
    spans = itertools.pairwise([*times, end])
    return [slot for index, span in enumerate(spans) for slot in timeline.slots(index, *span, times[0])]


def steady(count: int, rate: Fraction, first: Fraction = Fraction(0)) -> list[Fraction]:
    return [first + k / Fraction(rate) for k in range(count)]


@pytest.mark.parametrize("rate", [Fraction(25), FILM, Fraction(30000, 1001)])
@pytest.mark.parametrize("multiplier", [1, 2, 3, 5, 8, Fraction(5, 2), Fraction(24, 23), Fraction(60, 24), FILM])
def test_a_multiplied_steady_clip_is_evenly_spaced_and_exactly_as_long(rate, multiplier):
    times = steady(37, rate, first=Fraction(1, 7))
    slots = lay_out(Timeline(multiplier=multiplier), times, times[-1] + 1 / rate)
    assert [slot.time for slot in slots] == [times[0] + k / (rate * multiplier) for k in range(len(slots))]
    assert len(slots) == math.ceil(37 * multiplier) == Timeline(multiplier=multiplier).total(37, rate)
    lasts = len(slots) / Timeline(multiplier=multiplier).rate(rate)
    assert 0 <= lasts - 37 / rate < 1 / (rate * multiplier)


@pytest.mark.parametrize("source", [25, FILM, Fraction(30000, 1001), 60])
@pytest.mark.parametrize("fps", [60, NTSC, 50, Fraction(30000, 1001), 12, Fraction(1, 3), Fraction(997, 13)])
def test_a_rate_is_met_without_drift_and_the_clip_stays_as_long(source, fps):
    times = steady(200, source)
    end = times[-1] + 1 / Fraction(source)
    slots = lay_out(Timeline(fps=fps), times, end)
    assert [slot.time for slot in slots] == [k / Fraction(fps) for k in range(len(slots))]
    assert abs(len(slots) / Fraction(fps) - end) < 1 / Fraction(fps)
    assert len(slots) == Timeline(fps=fps).total(200, Fraction(source))


@pytest.mark.parametrize("timeline", [Timeline(multiplier=m) for m in (2, 3, Fraction(7, 3))])
def test_a_variable_rate_keeps_its_own_times(timeline):
    slots = lay_out(timeline, UNEVEN, Fraction(10))
    places = [*UNEVEN, Fraction(10)]
    for slot in slots:  # in every gap, frames are spaced as evenly as everywhere else
        place = slot.number / timeline.rate(Fraction(1))
        whole, part = int(place), place - int(place)
        assert slot.index == whole
        assert slot.at == places[whole] + part * (places[whole + 1] - places[whole])


@pytest.mark.parametrize("fps", [1, 3, Fraction(10, 7), NTSC])
def test_a_rate_makes_a_variable_clip_constant(fps):
    slots = lay_out(Timeline(fps=fps), UNEVEN, Fraction(10))
    assert [slot.time for slot in slots] == [k / Fraction(fps) for k in range(math.ceil(10 * fps))]
    for slot in slots:
        assert UNEVEN[slot.index] <= slot.at < [*UNEVEN, 10][slot.index + 1]


@pytest.mark.parametrize(
    "options", [{"multiplier": Fraction(5, 3)}, {"fps": FILM}, {"multiplier": 4, "slow": 3}, {"fps": 60, "slow": 2}]
)
@pytest.mark.parametrize("times", [UNEVEN, steady(64, FILM)])
def test_frames_are_numbered_in_order_and_none_is_missing_or_double(options, times):
    slots = lay_out(Timeline(**options), times, times[-1] + 1)
    assert [slot.number for slot in slots] == list(range(len(slots)))
    assert all(one.time < other.time for one, other in itertools.pairwise(slots))
    assert all(times[slot.index] <= slot.at for slot in slots)


@pytest.mark.parametrize("times", [UNEVEN, steady(20, FILM, first=Fraction(3))])
def test_slow_motion_has_as_many_more_frames_at_the_same_rate(times):
    end = times[-1] + Fraction(1, 24)
    slots, timeline = lay_out(Timeline(slow=4), times, end), Timeline(slow=4)
    assert len(slots) == 4 * len(times) and timeline.rate(FILM) == FILM
    assert [slot.time for slot in slots[::4]] == [times[0] + 4 * (time - times[0]) for time in times]


def test_slow_and_a_rate_or_a_multiplier_go_together():
    times = steady(10, 24)
    end = Fraction(10, 24)
    at_60 = lay_out(Timeline(fps=60, slow=2), times, end)
    assert len(at_60) == 50 and [slot.time for slot in at_60] == steady(50, 60)
    assert Timeline(multiplier=8, slow=4).rate(Fraction(24)) == 48
    assert len(lay_out(Timeline(slow=Fraction(1, 2)), times, end)) == 10  # twice as fast, frames as they are


@pytest.mark.parametrize(
    ("options", "depth"),
    [({}, 4), ({"multiplier": 16}, 4), ({"multiplier": 17}, 5), ({"multiplier": 64}, 6), ({"fps": 1000}, 6),
     ({"fps": 60, "slow": 20}, 6), ({"fps": 1}, 4), ({"slow": 32}, 5)],
)  # fmt: skip
def test_halvings_are_as_many_as_neighbours_need_to_differ(options, depth):
    timeline = Timeline(**options)
    assert timeline.halvings(Fraction(24)) == depth
    gap = Fraction(0), Fraction(1, 24)
    places = [place_of(slot.at, *gap, 2**depth) for slot in timeline.slots(0, *gap, gap[0])]
    assert len(set(places)) == len(places)


def test_the_nearest_position_is_at_most_half_a_step_away():
    for depth, parts in itertools.product((1, 2, 4), range(81)):
        at = Fraction(parts, 80)
        found = place_of(3 + at, Fraction(3), Fraction(4), 2**depth)
        assert abs(at - found) <= Fraction(1, 2 * 2**depth)
    assert place_of(Fraction(1, 2), Fraction(0), Fraction(1), 16) == Fraction(1, 2)


def test_without_steps_a_place_is_exact_but_for_what_is_as_good_as_a_source_frame():
    start, end = Fraction(3), Fraction(7, 2)
    for place in (NEAR, Fraction(1, 3), Fraction(2, 5), 1 - NEAR):
        assert place_of(start + place * (end - start), start, end, None) == place
    for place, copied in ((Fraction(0), 0), (NEAR / 2, 0), (1 - NEAR / 2, 1)):
        assert place_of(start + place * (end - start), start, end, None) == copied


@pytest.mark.parametrize(
    ("text", "rate"),
    [("60", 60), ("60000/1001", NTSC), ("59.94", NTSC), ("23.976", FILM), ("23.98", FILM), ("29.97", NTSC / 2),
     ("119.88", 2 * NTSC), ("2.5", Fraction(5, 2)), ("24.5", Fraction(49, 2)), ("29.5", Fraction(59, 2))],
)  # fmt: skip
def test_rates_are_read_as_people_mean_them(text, rate):
    assert rational(text) == rate


def test_what_is_no_rate_is_refused():
    for text in ("1/0", "fast"):
        with pytest.raises(ValueError, match=text):
            rational(text)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"multiplier": 2, "fps": 60}, "not both"), ({"multiplier": Fraction(1, 2)}, "multiplier must be at least 1"),
     ({"multiplier": 1001}, "at most 1000, got 1001"), ({"fps": 2000}, "at most 1000, got 2000"),
     ({"fps": 0}, "fps must be above 0"), ({"slow": -1}, "slow must be above 0")],
)  # fmt: skip
def test_timelines_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        Timeline(**options)
