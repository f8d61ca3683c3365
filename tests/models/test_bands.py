"""Masks of made-up bands."""

import pytest
import torch

from models.bands import Bands


def made_up(samples: int, *, details: float, corrected: bool) -> Bands:
    """Level 4 and its details, of so many samples."""
    coarsest = torch.rand(samples, 3, 4, 6)
    below = torch.rand(samples, 3, 8, 12) if corrected else 0
    bands = Bands(coarsest, [0, 0, 0, below, 0], coarsest)
    return bands.add(details * torch.randn(samples, 3, 3, 4, 6), torch.zeros(samples))


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("details", [1e-4, 0.1, 10.0])
def test_with_the_largest_ratio_every_mask_is_empty_and_with_half_of_it_none_is(details, corrected):
    """Of many samples, since the threshold may be rounded to less than the largest detail."""
    bands = made_up(500, details=details, corrected=corrected)
    assert bands.masks[-1].flatten(1).any(1).all()
    assert not bands.at(bands.largest_ratio()).masks[-1].any()
    assert bands.at(bands.largest_ratio() / 2).masks[-1].flatten(1).any(1).all()


@pytest.mark.parametrize("corrected", [False, True])
def test_places_last_until_the_ratio_that_is_said_if_no_range_changes(corrected):
    bands = made_up(3, details=0.1, corrected=corrected)
    bands = bands.add(0.1 * torch.randn(3, 3, 3, 8, 12) * bands.masks[-1][:, :, None], torch.zeros(3))
    lasting = bands.lasting()
    assert lasting.shape == bands.masks[-1].shape
    assert (lasting > 0).float().equal(bands.masks[-1])
    for ratio in (bands.largest_ratio() * share for share in (0.01, 0.1, 0.3, 0.6, 1.0)):
        low = bands.at(ratio)
        for sample in range(3):
            if all(theirs[sample].equal(ours[sample]) for theirs, ours in zip(low.ranges, bands.ranges, strict=True)):
                assert (lasting[sample] > ratio[sample]).float().equal(low.masks[-1][sample])
