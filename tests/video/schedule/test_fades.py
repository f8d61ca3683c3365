"""In a fade of a still picture nothing moves: its frames are mixed, without the network. What moves is not mixed."""

import pytest
import torch

from video.render.network import Network
from video.schedule.scenes import is_still


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


def test_frames_smaller_than_a_block_are_left_to_the_network():
    assert not is_still(torch.zeros(1, 3, 15, 40), torch.ones(1, 3, 15, 40))
