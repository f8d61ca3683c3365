"""WS-Net, the wavelet synthesis network."""

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from .bands import Bands, dilate, haar_pyramid, smallest_allowed
from .context import LevelContext
from .layers import SLOPE, ConvLReLU
from .sparse import Rows, SparseConv2d, sparse_level

SPARSE_LEVELS = (3, 2, 1)
TRIES = 4  # to find the ratio for a budget as if no range changed, before it is searched for at length
EXPECTED = 0.7  # of a level's active fraction at the finer levels: how a budget is shared out, never exceeded


class Synthesis(NamedTuple):
    """One frame synthesised with one threshold ratio per sample. Lists are finest first: `highs[l - 1]` is level l.

    frame: (B, 3, H, W) in [0, 1].
    low: (B, 3, H/16, W/16) low band of level 4. highs: 4 x (B, 3, 3, H/2^l, W/2^l) detail bands (cH, cV, cD).
        Both are the bands of the frame, in the correction form too.
    masks: 3 x (B, 1, H/2^l, W/2^l) sparse valid masks in {0, 1}, levels 1 to 3.
    cost: (B,) multiply-accumulates of the sparse convolutions as a fraction of the dense ones.
    executed: (B,) the same as it was really computed; more than `cost` or, by a better way, less. Candidates beyond the
        first come of the first one's computation: 0.
    ratio: (B,) the threshold ratio.
    """

    frame: Tensor
    low: Tensor
    highs: list[Tensor]
    masks: list[Tensor]
    cost: Tensor
    executed: Tensor
    ratio: Tensor


class WaveletSynthesisNet(nn.Module):
    """WS-Net: the Haar coefficients of the frame, coarse to fine; below level 4 only where details are expected.

    Args:
        context: channels of the context, finest first.
        widths: channels of the hidden features, finest first.
        correction: synthesise a correction to the merged frame instead of the frame (not in the paper; learns faster).
    """

    def __init__(self, context: tuple[int, ...], widths: tuple[int, ...], *, correction: bool):
        super().__init__()
        self.correction = correction
        self.coarsest = ConvLReLU(context[-1], widths[-1])
        self.low_head = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.levels = nn.ModuleList(
            SparseConv2d(c, w, coarse_channels=w_coarse)
            for c, w, w_coarse in zip(context, widths, widths[1:])  # noqa: B905
        )
        self.high_heads = nn.ModuleList(SparseConv2d(w, 9) for w in widths)
        if correction:
            for head in (self.low_head, *self.high_heads):
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)

    def forward(
        self, context: list[LevelContext], ratios: list[Tensor], merged: Tensor, budget: float | None = None
    ) -> list[Synthesis]:
        """One `Synthesis` per candidate, all from one descent: a larger ratio only drops details, see `Bands.at`.

        Args:
            context: finest first.
            ratios: K threshold ratios, each (B,).
            merged: (B, 3, H, W), the frame to be corrected in the correction form.
            budget: raise the ratios until the cost is at most this, per sample.
        """
        coarsest = self.coarsest(context[3].dense)
        # Orthonormal Haar doubles the low band per level, so the heads predict in image range and we scale back.
        low = self.low_head(coarsest).float().contiguous() * 2**4
        head = cast(SparseConv2d, self.high_heads[3])
        high = _as_bands(head.masked(coarsest, torch.ones_like(coarsest[:, :1])), 4)
        lows, highs = haar_pyramid(merged) if self.correction else ([0] * 5, [0] * 4)
        lowest = ratios[0] if len(ratios) == 1 else torch.stack(ratios).amin(0)
        start = Bands(low, lows, low)
        bands, lowest, cost, executed = self._descend(start.add(high, lowest), lowest, context, coarsest, budget)
        if len(ratios) == 1:
            return [self._finish(bands, highs, lowest, cost, executed)]
        candidates = []
        for ratio in ratios:
            ours = bands.at(ratio)
            if bands.hold(ours).all():  # always so where the lowest ratio is 0: every other detail is then there
                cost = self.cost_of(ours)
            else:
                ours, _, cost, more = self._descend(start.add(high, ratio), ratio, context, coarsest, None)
                executed = executed + more
            candidates.append(self._finish(ours, highs, ratio, cost, executed))
            executed = torch.zeros_like(executed)
        return candidates

    @staticmethod
    def _finish(bands: Bands, highs: list, ratio: Tensor, cost: Tensor, executed: Tensor) -> Synthesis:
        """The frame and its bands. `highs[l - 1]`: the details being corrected, or 0."""
        frame = (bands.low + bands.corrected[0]).clamp(0, 1)
        frame_highs = [ours + theirs for ours, theirs in zip(reversed(bands.highs), highs, strict=True)]
        low = bands.coarsest + bands.corrected[4]
        return Synthesis(frame, low, frame_highs, list(reversed(bands.masks)), cost, executed, ratio)

    def _descend(
        self,
        bands: Bands,
        ratio: Tensor,
        context: list[LevelContext],
        features: Tensor | Rows,
        budget: float | None,
    ) -> tuple[Bands, Tensor, Tensor, Tensor]:
        """The sparse levels for one ratio (B,): all bands, the ratio in the end, cost, executed operations."""
        spent = executed = torch.zeros_like(ratio)
        for level in SPARSE_LEVELS:
            if budget is not None:
                ratio, bands = self._fit(level, bands, ratio, budget - spent)
            mask = bands.masks[-1]
            halo = dilate(mask)
            spent = spent + self._cost(level, mask, halo)
            conv, head = self.convolutions(level)
            result = sparse_level(conv, head, context[level - 1], features, mask, halo, slope=SLOPE, keep=level > 1)
            features = cast(Tensor | Rows, result.features)  # None behind the last level, where nobody asks
            executed = executed + result.executed * 4.0**-level / self.dense_products()
            bands = bands.add(_as_bands(result.head, level), ratio)
        return bands, ratio, spent if budget is None else self.cost_of(bands), executed

    def _fit(self, level: int, bands: Bands, ratio: Tensor, budget: Tensor) -> tuple[Tensor, Bands]:
        """Find the smallest ratio (B,), from `ratio` on, for which this level and what is expected of the finer ones
        fit. Return it, and the bands with it."""
        shares = [self._share(finer) for finer in range(1, level + 1)]
        allowed_cost = budget / (1 + EXPECTED * sum(shares[:-1]) / shares[-1])

        def fits(mask: Tensor, halo: Tensor) -> Tensor:
            return self._cost(level, mask, halo) <= allowed_cost

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

    def cost_of(self, bands: Bands) -> Tensor:
        """Multiply-accumulates of the sparse convolutions with these masks, (B,), as a fraction of the dense ones."""
        levels = zip(SPARSE_LEVELS, bands.masks, strict=True)
        return cast(Tensor, sum(self._cost(level, mask, dilate(mask)) for level, mask in levels))

    def _cost(self, level: int, mask: Tensor, halo: Tensor) -> Tensor:
        """Multiply-accumulates of a level's two sparse convolutions, (B,), as a fraction of all levels' dense ones."""
        conv, head = (convolution.products("masked") for convolution in self.convolutions(level))
        products = halo.mean((1, 2, 3)) * conv + mask.mean((1, 2, 3)) * head
        return products * 4.0**-level / self.dense_products()

    def _share(self, level: int) -> float:
        """Of all levels' dense multiply-accumulates, those of one."""
        return 4.0**-level * self._products(level) / self.dense_products()

    def dense_products(self) -> float:
        """Multiply-accumulates of all sparse convolutions where everything is active, per pixel of the frame."""
        return sum(4.0**-level * self._products(level) for level in SPARSE_LEVELS)

    def _products(self, level: int) -> float:
        return sum(convolution.products("masked") for convolution in self.convolutions(level))

    def convolutions(self, level: int) -> tuple[SparseConv2d, SparseConv2d]:
        """The two sparse convolutions of level 1, 2 or 3."""
        return cast(SparseConv2d, self.levels[level - 1]), cast(SparseConv2d, self.high_heads[level - 1])


def _seemingly_allowed(bands: Bands, ratio: Tensor, fits: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The smallest ratio (B,), from `ratio` on, with which the last mask and its halo fit, if no range changes.

    The details that a ratio drops may change ranges, so that the result must be tried. But two comparisons do here.
    """
    of_mask = bands.lasting()
    of_halo = dilate(of_mask)
    mask, halo = torch.empty_like(of_mask), torch.empty_like(of_halo)

    def allowed(ratio: Tensor) -> Tensor:
        # Into numbers, not truth values: on a CPU, that takes a fifth of the time.
        for lasting, active in ((of_mask, mask), (of_halo, halo)):
            torch.gt(lasting, ratio.view(-1, 1, 1, 1), out=active)
        return fits(mask, halo)

    return smallest_allowed(ratio, bands.largest_ratio(), allowed)


def _as_bands(head: Tensor, level: int) -> Tensor:
    """(B, 9, h, w) as a head returns them -> detail bands (B, 3, 3, h, w) of a level, rows after rows in memory."""
    return head.float().contiguous().unflatten(1, (3, 3)) * 2 ** (level - 1)
