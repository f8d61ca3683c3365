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
