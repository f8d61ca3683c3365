"""Cuts are held, fades and flashes are not lost, and animation on twos is told from stills."""

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from helpers.clips import Average, read
from helpers.rendering import convert, flat

from datasets.clips import EXAMPLE
from video.frame import Frame
from video.schedule.scenes import BLOCK, SEARCH, Change, View, compare, judge, look, watch
from video.schedule.timeline import Timeline

SHAPE = (72, 128, 3)


def scene(seed: int) -> np.ndarray:
    """A picture of blocks, unlike that of any other seed; (H, W, 3) float in 0 to 255."""
    blocks = np.random.default_rng(seed).uniform(20, 235, (9, 16, 3))
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def clip(*images: np.ndarray) -> list[Frame]:
    return [Frame(image.clip(0, 255).astype(np.uint8), Fraction(i, 24), f"frame {i}") for i, image in enumerate(images)]


def pan(seed: int, count: int, speed: int) -> list[np.ndarray]:
    wide = np.concatenate([scene(seed), scene(seed + 100)], axis=1)
    return [wide[:, speed * k : speed * k + SHAPE[1]] for k in range(count)]


def cuts(frames: list[Frame], **options) -> list[int]:
    """Indices of the frames that begin a scene."""
    return [i + 1 for i, (_, step) in enumerate(watch(frames, **options)) if step and step.is_cut]


def test_cuts_are_found_where_they_are():
    frames = clip(*pan(1, 9, 2), *pan(2, 8, 0), *pan(3, 3, 1), *pan(4, 6, 3))
    assert cuts(frames) == [9, 17, 20]
    assert cuts(frames, threshold=256) == []


def test_cuts_at_the_ends_of_a_clip_are_found():
    assert cuts(clip(*pan(1, 1, 0), *pan(2, 4, 1))) == [1]
    assert cuts(clip(*pan(1, 4, 1), *pan(2, 1, 0))) == [4]
    assert cuts(clip(scene(1), scene(2))) == []  # two pictures: nothing to stand out from


def test_cuts_of_a_real_clip_are_the_ones_a_person_sees():
    """A bird jumps, and flaps its wings; the picture of the other half is mirrored, scaled up and darker."""
    images = [frame.image for frame in read(EXAMPLE)]
    assert cuts(clip(*images)) == []
    others = [(image[45:225, 320:0:-1] * 0.8).astype(np.uint8).repeat(2, 0).repeat(2, 1) for image in images]
    assert cuts(clip(*images[6:24], *others[6:24], *images[36:48])) == [18, 36]


def test_cuts_are_the_same_where_nobody_looks_for_duplicates():
    frames = clip(*pan(1, 9, 2), *pan(2, 4, 0), *pan(3, 5, 1))
    both, alone = list(watch(frames)), list(watch(frames, finds_duplicates=False))
    assert [step.is_cut for _, step in alone[:-1]] == [step.is_cut for _, step in both[:-1]]
    assert any(step.is_duplicate for _, step in both[:-1])
    assert not any(step.is_duplicate for _, step in alone[:-1])


def test_content_is_the_mean_over_the_blocks_of_the_least_difference_to_a_place_nearby():
    """Against the plain formula, block by block and place by place, in both directions."""
    rng = np.random.default_rng(5)
    small0, small1 = rng.integers(0, 256, (2, 24, 40), np.int16)

    def moved(small0: np.ndarray, small1: np.ndarray) -> float:
        padded, best = np.pad(small1, SEARCH, mode="edge"), np.full((3, 5), np.inf)
        for y, x in product(range(2 * SEARCH + 1), repeat=2):
            difference = np.abs(padded[y : y + 24, x : x + 40] - small0)
            best = np.minimum(best, difference.reshape(3, BLOCK, 5, BLOCK).mean((1, 3)))
        return best.mean()

    assert compare(View(None, small0), View(None, small1)).content == max(moved(small0, small1), moved(small1, small0))


@pytest.mark.parametrize("speed", [1, 8, 20])
def test_a_pan_is_no_cut_however_fast(speed):
    still = [pan(1, 1, 0)[0]] * 4
    assert cuts(clip(*pan(1, 7, speed), *[pan(1, 7, speed)[-1]] * 4)) == []
    assert cuts(clip(*still, *pan(1, 7, speed))) == []


@pytest.mark.parametrize("length", [4, 6, 12, 40])
def test_a_fade_is_no_cut_and_no_duplicate_that_is_dropped(length):
    image = scene(5)
    levels = [1] * 6 + [1 - k / length for k in range(1, length + 1)] + [0] * 4
    frames = clip(*(image * level for level in levels))
    assert cuts(frames) == []
    made = convert(frames, Timeline(multiplier=2), model=Average(), drop_duplicates=True)
    means = [m.frame.image.mean() for m in made]
    assert all(one >= other - 0.5 for one, other in pairwise(means))
    assert [means[2 * k] for k in range(len(frames))] == pytest.approx([f.image.mean() for f in frames], abs=1)


def test_a_cross_fade_is_no_cut():
    one, other = scene(6), scene(7)
    assert cuts(clip(*[one] * 4, *(one + (other - one) * k / 8 for k in range(1, 8)), *[other] * 4)) == []


@pytest.mark.parametrize("drop", [False, True])
def test_a_flash_is_shown_in_full_and_does_not_bleed_into_its_neighbours(drop):
    image = scene(8)
    frames = clip(*[image] * 5, np.full(SHAPE, 255.0), *[image] * 5)
    made = convert(frames, Timeline(multiplier=4), model=Average(), drop_duplicates=drop)
    light = [m.frame.image.min() == 255 for m in made]
    assert [k for k, is_light in enumerate(light) if is_light] == [20, 21, 22, 23]
    assert all((m.frame.image == frames[0].image).all() for m in made[:20] + made[24:])


def test_a_cut_is_held_until_it_comes():
    frames = flat(0, 1, 2, 3, 200, 201, 202, 203)
    shown = [int(m.frame.image[0, 0, 0]) for m in convert(frames, Timeline(multiplier=4))]
    assert shown[12:17] == [3, 3, 3, 3, 200]
    morphed = [int(m.frame.image[0, 0, 0]) for m in convert(frames, Timeline(multiplier=4), threshold=256)]
    assert morphed[12:17] == [3, 52, 102, 151, 200]


def test_animation_on_twos_is_interpolated_over_and_keeps_its_time():
    drawings = [np.roll(scene(9), 4 * k, axis=1) for k in range(6)]
    frames = clip(*(image for image in drawings for _ in range(2)))
    kept = convert(frames, Timeline(multiplier=2))
    dropped = convert(frames, Timeline(multiplier=2), drop_duplicates=True)
    assert [m.slot for m in kept] == [m.slot for m in dropped]
    for number, made in enumerate(dropped[:20]):
        drawing, part = divmod(number, 4)
        first, second = (drawings[k].astype(np.uint8).astype(float) for k in (drawing, drawing + 1))
        np.testing.assert_allclose(made.frame.image, first + (second - first) * part / 4, atol=1)
    assert (dropped[-1].frame.image == frames[-1].image).all()


def test_a_still_picture_is_not_dropped_but_held_until_it_moves():
    frames = flat(0, 0, 0, 0, 0, 0, 8, 16, 24)
    shown = [int(m.frame.image[0, 0, 0]) for m in convert(frames, Timeline(multiplier=2), drop_duplicates=True)]
    assert shown[:14] == [0] * 11 + [4, 8, 12]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 9])
def test_up_to_three_duplicates_in_a_row_are_animation(length):
    changes = [Change(9, 90)] * 4 + [Change(0, 1)] * length + [Change(9, 90)] * 4
    found = [judge(changes, place).is_duplicate for place in range(len(changes))]
    assert found == [False] * 4 + [length <= 3] * length + [False] * 4


def test_the_verdict_needs_only_the_neighbourhood():
    rng = np.random.default_rng(3)
    changes = [Change(*values) for values in rng.choice([0.5, 3, 20, 60], (200, 2))]
    for place in range(10, 190):
        assert judge(changes, place) == judge(changes[place - 3 : place + 4], 3)


def test_motion_is_allowed_for_and_sixteen_bits_look_the_same():
    image = scene(11)
    view, moved, other = (look(x.astype(np.uint8)) for x in (image, np.roll(image, 6, axis=1), scene(12)))
    assert compare(view, view) == Change(0, 0)
    assert compare(view, moved).content < 6 < 20 < compare(view, other).content
    assert compare(view, moved).block > 10
    assert compare(view, look(image.astype(np.uint8).astype(np.uint16) * 257)) == Change(0, 0)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (500, 1, 3), (7, 9, 3), (2160, 64, 3)])
def test_any_size_is_looked_at(shape):
    black, white = (look(np.full(shape, value, np.uint8)) for value in (0, 255))
    assert compare(black, white) == Change(255, 255)
