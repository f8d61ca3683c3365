"""Haar bands from coarse to fine, and the masks that they determine.

A detail is active if it exceeds its threshold, ratio * (max - min of the low band beside it). The mask M^l is 1 where a
detail of level l + 1 is active. It says where the details of level l are computed. The halo of a mask is the mask
dilated by one pixel: a 3x3 convolution reads the halo to compute the mask.
"""

import dataclasses
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from pytorch_wavelets import haar_forward, haar_inverse

ABOVE = 1 + 2**-20  # a margin for rounding: the ratio of the largest detail, times the range, may miss that detail


@dataclasses.dataclass(frozen=True)
class Bands:
    """The bands computed so far, level 4 first, with the masks of one threshold ratio per sample.

    coarsest: (B, 3, h, w) low band of level 4.
    corrected: low bands of the frame that is corrected. `corrected[l]` is added to the low band of level l before its
        range is taken. All are 0 if WS-Net synthesises the frame itself.
    low: (B, 3, h, w) low band that follows from the bands so far.
    highs: details (B, 3, 3, h, w) of levels 4, 3, ..., exactly 0 outside the masks.
    masks: (B, 1, h, w) masks in {0, 1} of levels 3, 2, ..., including that of the next level.
    ranges: (B, 3, 1, 1) range (max - min) of the low band for each mask.
    """

    coarsest: Tensor
    corrected: list
    low: Tensor
    highs: tuple[Tensor, ...] = ()
    masks: tuple[Tensor, ...] = ()
    ranges: tuple[Tensor, ...] = ()

    def add(self, high: Tensor, ratio: Tensor) -> "Bands":
        """Return these bands with the details of the next finer level.

        Args:
            high: (B, 3, 3, h, w), 0 outside the last mask.
            ratio: (B,) threshold ratio for the next mask.
        """
        low, masks, ranges = haar_inverse(self.low, high), self.masks, self.ranges
        level = 3 - len(masks)
        if level:
            ranges = (*ranges, value_range(low + self.corrected[level]))
            masks = (*masks, mask_above(high, ratio.view(-1, 1, 1, 1) * ranges[-1]))
        return dataclasses.replace(self, low=low, highs=(*self.highs, high), masks=masks, ranges=ranges)

    def at(self, ratio: Tensor) -> "Bands":
        """Return the bands that another, larger ratio (B,) would have given.

        A larger ratio drops details and leaves the others as they are, because the halos hold all that they depend on.
        """
        bands = Bands(self.coarsest, self.corrected, self.coarsest)
        for high in self.highs:
            bands = bands.add(high * bands.masks[-1][:, :, None] if bands.masks else high, ratio)
        return bands

    def hold(self, other: "Bands") -> Tensor:
        """Return True per sample, (B,), if every detail that `other` needs has been computed here.

        The last mask of `other` is ignored, because its details are yet to be computed.
        """
        pairs = zip(self.masks[:-1], other.masks[:-1], strict=True)
        wanting = [(theirs > ours).flatten(1).any(1) for ours, theirs in pairs]
        return ~torch.stack([torch.zeros_like(self.coarsest[:, 0, 0, 0], dtype=torch.bool), *wanting]).any(0)

    @torch.no_grad()
    def lasting(self) -> Tensor:
        """Return the ratio that makes each pixel of the last mask inactive, (B, 1, h, w), if no range changes."""
        lasting: Tensor | None = None
        for high, range_ in zip(self.highs, self.ranges, strict=True):
            own = (high.abs().amax(2) / range_).nan_to_num(0).amax(1, keepdim=True)
            lasting = own if lasting is None else torch.minimum(own, lasting)
            lasting = F.interpolate(lasting, scale_factor=2, mode="nearest")
        return cast(Tensor, lasting)

    def largest_ratio(self) -> Tensor:
        """Return a ratio (B,) with which every mask is empty."""
        scores = self.highs[0].abs().amax((2, 3, 4)) / self.ranges[0].flatten(1)
        return scores.nan_to_num(0, 1e30).amax(1) * ABOVE


def detail_mask(high: Tensor, low: Tensor, ratio: Tensor) -> Tensor:
    """Compute M^l, the sparse valid mask: 1 where any detail of level l + 1 exceeds its threshold.

    Args:
        high: (B, 3, 3, h, w) detail bands of level l + 1.
        low: (B, 3, 2h, 2w) low band of level l. The threshold is ratio * (max - min of low), per sample and colour.
        ratio: (B,) threshold ratio.
    Returns:
        (B, 1, 2h, 2w) in {0, 1}, upsampled to level l, without gradient.
    """
    return mask_above(high, ratio.view(-1, 1, 1, 1) * value_range(low))


@torch.no_grad()
def mask_above(high: Tensor, threshold: Tensor) -> Tensor:
    """Mark where any detail (B, 3, 3, h, w) exceeds its threshold (B, 3, 1, 1): (B, 1, 2h, 2w) in {0, 1}."""
    active = (high.abs().amax(2) > threshold).any(1, keepdim=True)
    return F.interpolate(active.to(high.dtype), scale_factor=2, mode="nearest")


@torch.no_grad()
def value_range(low: Tensor) -> Tensor:
    """Return max - min of each colour: (B, 3, h, w) -> (B, 3, 1, 1)."""
    return low.amax((2, 3), keepdim=True) - low.amin((2, 3), keepdim=True)


def dilate(mask: Tensor) -> Tensor:
    """Return the halo of a mask (B, 1, h, w): its active pixels and their 3x3 neighbours."""
    if mask.device.type != "cpu" or torch.compiler.is_compiling():
        return F.max_pool2d(mask, 3, stride=1, padding=1)
    for axis in (2, 3):  # on a CPU, this is eight times as fast as pooling
        size = mask.shape[axis] - 1
        wider = mask.clone()
        first, last = wider.narrow(axis, 0, size), wider.narrow(axis, 1, size)
        torch.maximum(last, mask.narrow(axis, 0, size), out=last)
        torch.maximum(first, mask.narrow(axis, 1, size), out=first)
        mask = wider
    return mask


def haar_pyramid(image: Tensor, levels: int = 4) -> tuple[list[Tensor], list[Tensor]]:
    """Compute the Haar bands of an image.

    Args:
        image: (B, 3, H, W), H and W multiples of 2^levels.
    Returns:
        lows: `lows[l]` is the low band of level l, (B, 3, H/2^l, W/2^l); `lows[0]` is the image.
        highs: `highs[l - 1]` holds the details of level l, (B, 3, 3, H/2^l, W/2^l).
    """
    lows, highs = [image], []
    for _ in range(levels):
        low, high = haar_forward(lows[-1])
        lows.append(low)
        highs.append(high)
    return lows, highs
