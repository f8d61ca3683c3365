"""Frames of a still picture that fades are mixed. Moving ones that fade reach the network at one brightness."""

import pytest
import torch

from video.render.network import Network
from video.render.pairs import _rest, find_fade, is_still


class Refusing:
    """A network that must not be asked."""

    def interpolate(self, img0, img1, **options):
        raise AssertionError


@pytest.fixture
def picture():
    return torch.nn.functional.interpolate(torch.rand(1, 3, 8, 10), size=(72, 90), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("gains", [(1.0, 0.8), (0.3, 0.0), (0.0, 0.5), (0.2, 0.4)])
@pytest.mark.parametrize("colour", [0.0, 1.0])
def test_a_still_picture_that_fades_is_mixed_at_no_cost(picture, gains, colour):
    first, last = (colour + gain * (picture - colour) for gain in gains)
    middle = colour + sum(gains) / 2 * (picture - colour)
    imgt, call = Network(Refusing()).between(first, last)
    torch.testing.assert_close(imgt, middle)
    assert call.calls == call.cost == call.executed == 0


def test_a_mix_is_made_at_its_time(picture):
    frame, _ = Network(Refusing()).between(picture, 0.2 * picture, 0.25)
    torch.testing.assert_close(frame, 0.8 * picture)


def test_noise_is_still_up_to_three_grey_levels(picture):
    noise = torch.randn_like(picture) / 255
    assert is_still(picture, picture + noise)
    assert not is_still(picture, picture + 6 * noise)


def test_both_orders_have_one_verdict(picture):
    for other in (0.5 * picture, 0.5 * picture.roll(2, 3), picture.roll(1, 2), torch.zeros_like(picture)):
        assert is_still(picture, other) == is_still(other, picture)


@pytest.mark.parametrize("gain", [1.0, 0.6])
def test_one_small_thing_that_moves_is_enough_for_the_network(picture, gain):
    first, last = picture.clone(), gain * picture
    first[..., 30:34, 30:34] = 1.0
    last[..., 30:34, 38:42] = gain
    assert not is_still(first, last)


def test_a_fade_from_one_picture_to_another_is_not_still(picture):
    other = picture.flip(2)
    assert not is_still(0.7 * picture + 0.3 * other, 0.3 * picture + 0.7 * other)


@pytest.mark.parametrize("size", [(16, 16), (47, 33), (70, 90)])
@pytest.mark.parametrize("noise", [0, 1, 2, 4])
@pytest.mark.parametrize("patch", [0, 2, 5, 60])
def test_looking_at_few_pixels_first_changes_no_verdict(size, noise, patch):
    first = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 5), size=size, mode="bicubic").clamp(0, 1)
    last = 0.7 * first + 0.1 + noise / 255 * torch.randn_like(first)
    last[..., 3:14, 2:15] += patch / 255 * torch.randn(1, 3, 11, 13)
    rest = torch.nn.functional.avg_pool2d(_rest(first, last), 16, ceil_mode=True)
    assert is_still(first, last) == (rest.max() <= (3 / 255) ** 2)


def test_frames_smaller_than_a_block_are_left_to_the_network():
    assert not is_still(torch.zeros(1, 3, 15, 40), torch.ones(1, 3, 15, 40))


@pytest.fixture
def moving():
    """Three frames of a picture that moves two pixels to the right in each."""
    wide = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 10), size=(72, 94), mode="bicubic").clamp(0.1, 0.9)
    return [wide[..., 4 - 2 * k : 94 - 2 * k] for k in range(3)]


class Knowing:
    """A network that knows the true middle frame of moving pictures that do not fade, and what it was asked for."""

    def __init__(self, truth):
        self.truth, self.asked = truth, []

    def interpolate(self, img0, img1, **options):
        self.asked.append((img0, img1))
        return self.truth


@pytest.mark.parametrize("gain", [0.8, 0.3])
@pytest.mark.parametrize("colour", [0.0, 1.0])
@pytest.mark.parametrize("is_first", [False, True])
def test_what_moves_in_a_fade_gets_to_one_brightness_and_back(moving, gain, colour, is_first):
    first, truth, last = moving
    faded = [colour + gain * (frame - colour) for frame in (first, last)]
    pair = (faded[0], last) if is_first else (first, faded[1])
    model = Knowing(truth)
    frame, call = Network(model).between(*pair)
    assert call.calls == 1
    assert max(float((a - b).abs().mean()) for a, b in zip(model.asked[0], (first, last), strict=True)) < 0.02
    expected = colour + (1 + gain) / 2 * (truth - colour)
    assert float((frame - expected).abs().mean()) < 0.01
    assert float((frame - expected).abs().mean()) < float((sum(pair) / 2 - expected).abs().mean())


def test_a_letterbox_keeps_its_colour_in_a_fade(moving):
    bars = [torch.nn.functional.pad(frame, (0, 0, 20, 20), value=0.0625) for frame in moving]
    bars[2][..., 20:-20, :] *= 0.5
    frame, _ = Network(Knowing(bars[1])).between(bars[0], bars[2])
    assert torch.equal(frame[..., :20, :], bars[0][..., :20, :])
    assert torch.equal(frame[..., -20:, :], bars[0][..., -20:, :])
    assert not torch.equal(frame[..., 20:-20, :], bars[1][..., 20:-20, :])


def test_a_pair_is_brightened_once(moving):
    model = Knowing(moving[1])
    network = Network(model)
    pair = moving[0], 0.5 * moving[2]
    for _ in range(2):
        network.between(*pair)
    assert model.asked[0][1].data_ptr() == model.asked[1][1].data_ptr()


def test_a_pair_that_does_not_fade_reaches_the_network_as_it_is(moving):
    for pair in ((moving[0], moving[2]), (moving[0], 0.5 * moving[2].flip(2))):
        assert find_fade(*pair) is None
        model = Knowing(moving[1])
        frame, _ = Network(model).between(*pair)
        assert all(torch.equal(a, b) for a, b in zip(model.asked[0], pair, strict=True)) and frame is moving[1]


def test_a_fade_from_black_is_no_gain(moving):
    assert find_fade(torch.zeros_like(moving[0]), moving[2]) is None
    assert find_fade(moving[0], 0.01 * moving[2]) is None
