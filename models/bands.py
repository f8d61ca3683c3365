"""Haar bands from coarse to fine, and the masks that they determine."""

import dataclasses
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from pytorch_wavelets import haar_forward, haar_inverse

ABOVE = 1 + 2**-20  # the ratio of the largest detail, times the range, may be rounded to less than that detail


@dataclasses.dataclass(frozen=True)
class Bands:
    """The bands known so far, level 4 first, with the masks of one threshold ratio per sample.

    coarsest: (B, 3, h, w) low band of level 4. corrected: `corrected[l]`, the low band of level l that is added to ours
    before its range is taken, or 0. low: the low band that the known bands give. highs: details (B, 3, 3, h, w) of
    levels 4, 3, ..., exactly 0 outside the masks. masks: of levels 3, 2, ..., the next one to be computed included.
    ranges: (B, 3, 1, 1) each, the range of the low band that each mask was decided by.
    """

    coarsest: Tensor
    corrected: list
    low: Tensor
    highs: tuple[Tensor, ...] = ()
    masks: tuple[Tensor, ...] = ()
    ranges: tuple[Tensor, ...] = ()

    def add(self, high: Tensor, ratio: Tensor) -> "Bands":
        """With the next finer details, which are 0 outside their mask. ratio: (B,)."""
        low, masks, ranges = haar_inverse(self.low, high), self.masks, self.ranges
        level = 3 - len(masks)
        if level:
            ranges = (*ranges, value_range(low + self.corrected[level]))
            masks = (*masks, mask_above(high, ratio.view(-1, 1, 1, 1) * ranges[-1]))
        return dataclasses.replace(self, low=low, highs=(*self.highs, high), masks=masks, ranges=ranges)

    def at(self, ratio: Tensor) -> "Bands":
        """As if these details had been computed with another, larger ratio (B,).

        That leaves details as they are or drops them: what a remaining one was computed from lies within the halos.
        """
        bands = Bands(self.coarsest, self.corrected, self.coarsest)
        for high in self.highs:
            bands = bands.add(high * bands.masks[-1][:, :, None] if bands.masks else high, ratio)
        return bands

    def hold(self, other: "Bands") -> Tensor:
        """(B,) bool: whether all details that the masks of `other` want, its last mask apart, are among ours."""
        pairs = zip(self.masks[:-1], other.masks[:-1], strict=True)
        wanting = [(theirs > ours).flatten(1).any(1) for ours, theirs in pairs]
        return ~torch.stack([torch.zeros_like(self.coarsest[:, 0, 0, 0], dtype=torch.bool), *wanting]).any(0)

    @torch.no_grad()
    def lasting(self) -> Tensor:
        """(B, 1, h, w): the ratio from which on each place of the last mask is empty, if no range changes."""
        lasting: Tensor | None = None
        for high, range_ in zip(self.highs, self.ranges, strict=True):
            own = (high.abs().amax(2) / range_).nan_to_num(0).amax(1, keepdim=True)
            lasting = own if lasting is None else torch.minimum(own, lasting)
            lasting = F.interpolate(lasting, scale_factor=2, mode="nearest")
        return cast(Tensor, lasting)

    def largest_ratio(self) -> Tensor:
        """Return a ratio (B,) with which every mask is empty."""
        low = haar_inverse(self.coarsest, self.highs[0]) + self.corrected[3]
        scores = self.highs[0].abs().amax((2, 3, 4)) / (low.amax((2, 3)) - low.amin((2, 3)))
        return scores.nan_to_num(0, 1e30).amax(1) * ABOVE


def detail_mask(high: Tensor, low: Tensor, ratio: Tensor) -> Tensor:
    """M^l, the sparse valid mask: where any detail of level l + 1 exceeds its threshold, upsampled to level l.

    Args:
        high: (B, 3, 3, h, w) detail bands of level l + 1.
        low: (B, 3, 2h, 2w) low band of level l; the threshold is ratio * (max - min of low), per sample and colour.
        ratio: (B,).
    Returns:
        (B, 1, 2h, 2w) in {0, 1}, no gradient.
    """
    return mask_above(high, ratio.view(-1, 1, 1, 1) * value_range(low))


@torch.no_grad()
def mask_above(high: Tensor, threshold: Tensor) -> Tensor:
    """Where any detail (B, 3, 3, h, w) exceeds its threshold (B, 3, 1, 1): (B, 1, 2h, 2w) in {0, 1}."""
    active = (high.abs().amax(2) > threshold).any(1, keepdim=True)
    return F.interpolate(active.to(high.dtype), scale_factor=2, mode="nearest")


@torch.no_grad()
def value_range(low: Tensor) -> Tensor:
    """(B, 3, h, w) -> (B, 3, 1, 1), max - min."""
    return low.amax((2, 3), keepdim=True) - low.amin((2, 3), keepdim=True)


def dilate(mask: Tensor) -> Tensor:
    """The halo of a mask (B, 1, h, w): itself and its 3x3 neighbours."""
    if mask.device.type != "cpu" or torch.compiler.is_compiling():
        return F.max_pool2d(mask, 3, stride=1, padding=1)
    for axis in (2, 3):  # on a CPU eight times as fast as pooling
        size = mask.shape[axis] - 1
        wider = mask.clone()
        first, last = wider.narrow(axis, 0, size), wider.narrow(axis, 1, size)
        torch.maximum(last, mask.narrow(axis, 0, size), out=last)
        torch.maximum(first, mask.narrow(axis, 1, size), out=first)
        mask = wider
    return mask


def haar_pyramid(image: Tensor, levels: int = 4) -> tuple[list[Tensor], list[Tensor]]:
    """Haar bands of (B, 3, H, W): lows[l] the low band of level l (lows[0] the image), highs[l-1] its details."""
    lows, highs = [image], []
    for _ in range(levels):
        low, high = haar_forward(lows[-1])
        lows.append(low)
        highs.append(high)
    return lows, highs
