"""The cost of WS-Net's sparse levels, and the search for the threshold ratio that keeps it within a budget.

The cost of a prediction is the number of multiply-accumulates of its sparse convolutions, as a fraction of the number
that the same convolutions take if every pixel is active. A budget is the largest cost that a caller allows. The network
keeps to it by raising the threshold ratio: a larger ratio drops details, so that fewer pixels are active.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor

from .bands import Bands, dilate

SPARSE_LEVELS = (3, 2, 1)
TRIES = 4  # trials of the short search, which assumes that ranges stay as they are; then the long search follows
EXPECTED = 0.65  # active fraction of a finer level, relative to this one's; it shares the budget out over the levels
STEPS = 14  # halvings of a range of ratios from 1 to RANGE; the result is exact to 0.07 %
RANGE = 1e5


class SparseCost:
    """The cost of the sparse levels, computed from their masks.

    The first convolution of a level computes the halo, which is the mask dilated by one pixel. The second one, the
    head, computes the mask itself.

    Args:
        products: multiply-accumulates per active pixel of a level's convolution and of its head, for levels 1 to 3.
    """

    def __init__(self, products: Sequence[tuple[float, float]]):
        self._products = products

    def of(self, bands: Bands) -> Tensor:
        """Return the cost (B,) of all levels with the masks of `bands`."""
        levels = zip(SPARSE_LEVELS, bands.masks, strict=True)
        return cast(Tensor, sum(self.of_level(level, mask, dilate(mask)) for level, mask in levels))

    def of_level(self, level: int, mask: Tensor, halo: Tensor) -> Tensor:
        """Return the cost (B,) of one level with this mask and its halo, (B, 1, h, w) each."""
        conv, head = self._products[level - 1]
        products = halo.mean((1, 2, 3)) * conv + mask.mean((1, 2, 3)) * head
        return products * 4.0**-level / self.dense_products()

    def share(self, level: int) -> float:
        """Return the cost of one level with every pixel active. The costs of all levels sum to 1."""
        return 4.0**-level * sum(self._products[level - 1]) / self.dense_products()

    def dense_products(self) -> float:
        """Return the multiply-accumulates of all levels with every pixel active, per pixel of the frame."""
        return sum(4.0**-level * sum(self._products[level - 1]) for level in SPARSE_LEVELS)


def fit(cost: SparseCost, level: int, bands: Bands, ratio: Tensor, budget: Tensor) -> tuple[Tensor, Bands]:
    """Find the smallest ratio for which a level, and what the finer levels are expected to cost, fit into the budget.

    Args:
        cost: the cost of the sparse levels.
        level: the level to be computed next, 3, 2 or 1.
        bands: the bands of the coarser levels, with the mask of this level as the last one.
        ratio: (B,) ratios that `bands` were computed with; the search begins here.
        budget: (B,) the cost that is left for this level and the finer ones.
    Returns:
        The ratio (B,), and the bands with it.
    """
    shares = [cost.share(finer) for finer in range(1, level + 1)]
    allowed_cost = budget / (1 + EXPECTED * sum(shares[:-1]) / shares[-1])

    def fits(mask: Tensor, halo: Tensor) -> Tensor:
        return cost.of_level(level, mask, halo) <= allowed_cost

    def allowed(tried: Bands) -> Tensor:
        return bands.hold(tried) & fits(tried.masks[-1], dilate(tried.masks[-1]))

    found, tried = ratio, bands
    for _ in range(TRIES):
        is_allowed = allowed(tried)
        if is_allowed.all():
            break
        found = torch.where(is_allowed, found, _seemingly_allowed(tried, found, fits))
        tried = bands.at(found)
    else:
        found = smallest_allowed(ratio, bands.largest_ratio(), lambda ratio: allowed(bands.at(ratio)))
        tried = bands.at(found)
    return found, tried


def _seemingly_allowed(bands: Bands, ratio: Tensor, fits: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Find the smallest ratio (B,) from `ratio` on with which the last mask and its halo fit, if no range changes.

    The details that a ratio drops may change ranges, so the caller must test the result. In return, a ratio is tried
    with two comparisons.
    """
    of_mask = bands.lasting()
    of_halo = dilate(of_mask)
    mask, halo = torch.empty_like(of_mask), torch.empty_like(of_halo)

    def allowed(ratio: Tensor) -> Tensor:
        # On a CPU, comparing into numbers takes a fifth of the time of comparing into truth values.
        for lasting, active in ((of_mask, mask), (of_halo, halo)):
            torch.gt(lasting, ratio.view(-1, 1, 1, 1), out=active)
        return fits(mask, halo)

    return smallest_allowed(ratio, bands.largest_ratio(), allowed)


def smallest_allowed(ratio: Tensor, largest: Tensor, allowed: Callable[[Tensor], Tensor]) -> Tensor:
    """Find the smallest ratio per sample that is allowed, by bisection on a logarithmic scale.

    The result has itself been tested, even if `allowed` is not monotone.

    Args:
        ratio: (B,) the smallest ratio to consider.
        largest: (B,) the result if no smaller ratio is allowed.
        allowed: returns (B,) bool for ratios (B,).
    Returns:
        (B,).
    """
    here = allowed(ratio)
    if here.all():
        return ratio
    below, above = torch.maximum(ratio, largest / RANGE), torch.maximum(ratio, largest)
    for _ in range(STEPS):
        middle = (below * above).sqrt()
        fits = allowed(middle)
        below, above = torch.where(fits, below, middle), torch.where(fits, middle, above)
    return torch.where(here, ratio, above)
