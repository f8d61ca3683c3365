"""WS-Net, the wavelet synthesis network, and the context encoder that feeds it."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pytorch_wavelets import haar_forward, haar_inverse

from .layers import SLOPE, conv_lrelu, halve_flow, warp_both
from .motion import Motion
from .sparse import SparseConv2d, Started

FLOW_SCALE = 20  # pixels; brings flows into the range of the images beside them
SPARSE_LEVELS = (3, 2, 1)


class Synthesis(NamedTuple):
    """One frame synthesised with one threshold ratio per sample. Lists are finest first: `highs[l - 1]` is level l.

    frame: (B, 3, H, W) in [0, 1].
    low: (B, 3, H/16, W/16) low band of level 4. highs: 4 x (B, 3, 3, H/2^l, W/2^l) detail bands (cH, cV, cD).
        Both are the bands of the frame, in the correction form too.
    masks: 3 x (B, 1, H/2^l, W/2^l) sparse valid masks in {0, 1}, levels 1 to 3.
    cost: (B,) multiply-accumulates of the sparse convolutions as a fraction of the dense ones.
    ratio: (B,) the threshold ratio.
    """

    frame: Tensor
    low: Tensor
    highs: list[Tensor]
    masks: list[Tensor]
    cost: Tensor
    ratio: Tensor


class ContextPyramid(nn.Module):
    """Four convolutions of stride 2."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]):
        super().__init__()
        inputs = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(conv_lrelu(i, o, stride=2) for i, o in zip(inputs, widths, strict=True))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, H, W) -> finest first: (B, widths[l-1], H/2^l, W/2^l)."""
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features


class ContextNet(nn.Module):
    """Context: features of both frames, warped to time t level by level, beside features of the merged frame."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.frames = ContextPyramid(3, widths)
        self.merged = ContextPyramid(3 + 2 + 2 + 1, widths)

    def forward(self, img0: Tensor, img1: Tensor, merged: Tensor, motion: Motion) -> list[Tensor]:
        """Frames (B, 3, H, W) -> context, finest first: (B, 3 * widths[l-1], H/2^l, W/2^l)."""
        flow_t0, flow_t1, occlusion, _ = motion
        of_merged = self.merged(torch.cat([merged, flow_t0 / FLOW_SCALE, flow_t1 / FLOW_SCALE, occlusion], dim=1))
        context = []
        for both, feature in zip(self.frames(torch.cat([img0, img1])), of_merged, strict=True):
            flow_t0, flow_t1 = halve_flow(flow_t0), halve_flow(flow_t1)
            context.append(torch.cat([*warp_both(*both.chunk(2), flow_t0, flow_t1), feature], dim=1))
        return context


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
        self.coarsest = conv_lrelu(context[-1], widths[-1])
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

    def forward(self, context: list[Tensor], ratios: list[Tensor], merged: Tensor) -> list[Synthesis]:
        """One `Synthesis` per candidate; what the candidates share is computed once.

        Args:
            context: finest first, (B, context[l-1], H/2^l, W/2^l).
            ratios: K threshold ratios, each (B,).
            merged: (B, 3, H, W), the frame to be corrected in the correction form.
        """
        coarsest = self.coarsest(context[3])
        everywhere = torch.ones_like(coarsest[:, :1])
        # Orthonormal Haar doubles the low band per level, so the heads predict in image range and we scale back.
        low = self.low_head(coarsest).float() * 2**4
        high = self._high(4, coarsest, everywhere)
        started = [level.start(c) for level, c in zip(self.levels, context, strict=False)]
        lows, highs = haar_pyramid(merged) if self.correction else ([0] * 5, [0] * 4)
        return [self._synthesise(r, started, coarsest, low, high, lows, highs) for r in ratios]

    def _synthesise(
        self,
        ratio: Tensor,
        started: list[Started],
        features: Tensor,
        low: Tensor,
        high: Tensor,
        lows: list,
        highs: list,
    ) -> Synthesis:
        """The sparse levels for one ratio (B,). `lows[l]`, `highs[l-1]`: the bands being corrected, or zeros."""
        low_4, frame_highs, masks, cost = low + lows[4], [high + highs[3]], [], 0.0
        for level in SPARSE_LEVELS:
            low = haar_inverse(low, high)
            mask = detail_mask(high, low + lows[level], ratio)
            halo = F.max_pool2d(mask, 3, stride=1, padding=1)
            features = self.levels[level - 1].finish(started[level - 1], features, halo)
            features = F.leaky_relu(features, SLOPE)
            high = self._high(level, features, mask)
            cost = cost + self._macs(level, mask, halo)
            masks.insert(0, mask)
            frame_highs.insert(0, high + highs[level - 1])
        frame = (haar_inverse(low, high) + lows[0]).clamp(0, 1)
        return Synthesis(frame, low_4, frame_highs, masks, cost / self._dense_macs(), ratio)

    def _high(self, level: int, features: Tensor, mask: Tensor) -> Tensor:
        """Detail bands (B, 3, 3, h, w) of a level, exactly 0 outside the mask."""
        return self.high_heads[level - 1](features, mask).float().unflatten(1, (3, 3)) * 2 ** (level - 1)

    def _macs(self, level: int, mask: Tensor, halo: Tensor) -> Tensor:
        """Multiply-accumulates of a level's two sparse convolutions, (B,), in units of 9 per pixel of the frame."""
        conv, head = self.levels[level - 1], self.high_heads[level - 1]
        return 4.0**-level * (
            halo.mean((1, 2, 3)) * conv.in_channels * conv.out_channels
            + mask.mean((1, 2, 3)) * head.in_channels * head.out_channels
        )

    def _dense_macs(self) -> Tensor:
        one = torch.ones(1, 1, 1, 1, device=self.low_head.weight.device)
        return sum(self._macs(level, one, one) for level in SPARSE_LEVELS)


def detail_mask(high: Tensor, low: Tensor, ratio: Tensor) -> Tensor:
    """M^l, the sparse valid mask: where any detail of level l + 1 exceeds its threshold, upsampled to level l.

    Args:
        high: (B, 3, 3, h, w) detail bands of level l + 1.
        low: (B, 3, 2h, 2w) low band of level l; the threshold is ratio * (max - min of low), per sample and colour.
        ratio: (B,).
    Returns:
        (B, 1, 2h, 2w) in {0, 1}, no gradient.
    """
    with torch.no_grad():
        threshold = ratio.view(-1, 1, 1, 1) * (low.amax((2, 3), keepdim=True) - low.amin((2, 3), keepdim=True))
        active = (high.abs().amax(2) > threshold).any(1, keepdim=True)
        return F.interpolate(active.to(high.dtype), scale_factor=2, mode="nearest")


def haar_pyramid(image: Tensor, levels: int = 4) -> tuple[list[Tensor], list[Tensor]]:
    """Haar bands of (B, 3, H, W): lows[l] the low band of level l (lows[0] the image), highs[l-1] its details."""
    lows, highs = [image], []
    for _ in range(levels):
        low, high = haar_forward(lows[-1])
        lows.append(low)
        highs.append(high)
    return lows, highs
