"""The context encoder and WS-Net, which together synthesise the frame.

The context encoder makes features of both frames and of the merged frame. The features of a frame are warped to time t
level by level. WS-Net may need them on some pixels only; then they are warped there alone (`LevelContext.rows`).

WS-Net, the wavelet synthesis network, makes the Haar bands of the frame from coarse to fine. Level 4 is computed
everywhere. A finer level l is computed only where its mask M^l is 1, which is where a detail of level l + 1 exceeds its
threshold (`bands.py`). Each of these levels has two sparse convolutions. The first one makes features on the halo,
which is the mask dilated by one pixel. The second one, the head, makes the details on the mask.

A candidate is a threshold ratio to choose from, and the frame that it gives. All candidates of a call share one
descent from level 4 to level 1, because a larger ratio only drops details.
"""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from .bands import Bands, dilate, haar_pyramid
from .budget import SPARSE_LEVELS, SparseCost, fit
from .layers import SLOPE, ConvLReLU, as_rows, backward_warp, concatenate, corners, halve_flow, halves, weighted_rows
from .motion import FrameEncoder, Motion
from .sparse import Rows, SparseConv2d, Tiles, sparse_level

FLOW_SCALE = 20  # pixels; flows are divided by it, to have the range of the images beside them
Features = list[Tensor]  # features of one frame, finest level first: (B, widths[l-1], H/2^l, W/2^l)


class ContextNet(nn.Module):
    """The context encoder: features of both frames, warped to time t, beside features of the merged frame."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        halving = partial(ConvLReLU, stride=2)
        self.frames = FrameEncoder(3, widths, halving)
        self.merged = FrameEncoder(3 + 2 + 2 + 1, widths, halving)

    def encode(self, image: Tensor) -> Features:
        """Encode one frame (B, 3, H, W) to features, finest first: (B, widths[l-1], H/2^l, W/2^l).

        The result depends neither on the other frame of the pair nor on the time.
        """
        return self.frames(image.to(self.frames.levels[0][0].weight.dtype))  # type: ignore[index]

    def forward(self, features: tuple[Features, Features], merged: Tensor, motion: Motion) -> list["LevelContext"]:
        """Combine the features of both frames and the merged frame to the context of four levels, finest first.

        Args:
            features: results of `encode` for img0 and img1.
            merged: (B, 3, H, W).
            motion: flows and occlusion, which the encoder of the merged frame also sees.
        """
        flow_t0, flow_t1, occlusion = motion[:3]
        seen = concatenate([merged, flow_t0 / FLOW_SCALE, flow_t1 / FLOW_SCALE, occlusion], like=features[0][0])
        flows, context = torch.cat([flow_t0, flow_t1]), []
        for *frames, feature in zip(*features, self.merged(seen), strict=True):
            flows = halve_flow(flows)
            context.append(LevelContext(frames, halves(flows), feature))
        return context


class LevelContext:
    """The context of one level: cat(warped features of img0, warped features of img1, features of the merged frame).

    Args:
        frames: features of img0 and of img1, (B, C, h, w) each.
        flows: flow_t0 and flow_t1, (B, 2, h, w) each, in pixels of this level.
        merged: (B, C, h, w) features of the merged frame.
    """

    def __init__(self, frames: Sequence[Tensor], flows: Sequence[Tensor], merged: Tensor):
        self.frames, self.flows, self.merged, self.dtype = frames, flows, merged, merged.dtype

    @cached_property
    def dense(self) -> Tensor:
        """The context of all pixels, (B, 3C, h, w)."""
        return concatenate([*map(backward_warp, self.frames, self.flows), self.merged], like=self.merged)

    def rows(self, tiles: Tiles) -> Rows:
        """Return the context of the pixels that a 3x3 kernel on the tiles reads; other pixels are 0.

        Not differentiable.
        """
        channels = self.merged.shape[1]
        wanted = tiles.surroundings()
        pixels = wanted.flatten().nonzero()[:, 0]
        values = self.merged.new_empty(len(pixels) + 1, 3 * channels)
        values[-1] = 0
        parts = values[:-1].view(len(pixels), 3, channels).unbind(1)
        for frame, flow, part in zip(self.frames, self.flows, parts, strict=False):
            part.copy_(weighted_rows(frame, *(of_all.index_select(0, pixels) for of_all in corners(flow.float()))))
        parts[2].copy_(as_rows(self.merged).index_select(0, pixels))
        return Rows(values, (wanted.flatten().cumsum(0) - 1).view_as(wanted).masked_fill_(~wanted, len(pixels)))


class Synthesis(NamedTuple):
    """One frame, synthesised with one threshold ratio per sample. Lists are finest first: `highs[l - 1]` is level l.

    frame: (B, 3, H, W) in [0, 1].
    low: (B, 3, H/16, W/16) low band of level 4 of the frame.
    highs: 4 x (B, 3, 3, H/2^l, W/2^l) detail bands (cH, cV, cD) of the frame.
    masks: 3 x (B, 1, H/2^l, W/2^l) sparse valid masks in {0, 1}, levels 1 to 3.
    cost: (B,) multiply-accumulates of the sparse convolutions, as a fraction of the dense ones.
    executed: (B,) multiply-accumulates that were really computed, as a fraction of the dense ones. It may lie above
        `cost`, or below it if a faster formula was used. The first candidate of a call counts the computation that all
        candidates share.
    ratio: (B,) threshold ratio.
    """

    frame: Tensor
    low: Tensor
    highs: list[Tensor]
    masks: list[Tensor]
    cost: Tensor
    executed: Tensor
    ratio: Tensor


class WaveletSynthesisNet(nn.Module):
    """WS-Net: the Haar bands of the frame, coarse to fine; below level 4 only where details are expected.

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
        """Synthesise one frame per candidate. All candidates share one descent, see `Bands.at`.

        Args:
            context: four levels, finest first.
            ratios: K threshold ratios, each (B,).
            merged: (B, 3, H, W) the merged frame, which is corrected in the correction form.
            budget: largest cost per sample; the ratios are raised until it is kept. Default: no limit.
        Returns:
            K `Synthesis`, in the order of `ratios`.
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
            if bands.hold(ours).all():  # always true if the lowest ratio is 0, which computes every detail
                cost = self.costs.of(ours)
            else:
                ours, _, cost, more = self._descend(start.add(high, ratio), ratio, context, coarsest, None)
                executed = executed + more
            candidates.append(self._finish(ours, highs, ratio, cost, executed))
            executed = torch.zeros_like(executed)
        return candidates

    @staticmethod
    def _finish(bands: Bands, highs: list, ratio: Tensor, cost: Tensor, executed: Tensor) -> Synthesis:
        """Return the frame and its bands. `highs[l - 1]` holds the details that are corrected, or 0."""
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
        """Compute the sparse levels for one ratio (B,). Return all bands, the final ratio, the cost, and `executed`."""
        spent = executed = torch.zeros_like(ratio)
        for level in SPARSE_LEVELS:
            if budget is not None:
                ratio, bands = fit(self.costs, level, bands, ratio, budget - spent)
            mask = bands.masks[-1]
            halo = dilate(mask)
            spent = spent + self.costs.of_level(level, mask, halo)
            conv, head = self.convolutions(level)
            result = sparse_level(conv, head, context[level - 1], features, mask, halo, slope=SLOPE, keep=level > 1)
            features = cast(Tensor | Rows, result.features)  # None after the last level, which no other level follows
            executed = executed + result.executed * 4.0**-level / self.costs.dense_products()
            bands = bands.add(_as_bands(result.head, level), ratio)
        return bands, ratio, spent if budget is None else self.costs.of(bands), executed

    @property
    def costs(self) -> SparseCost:
        """The cost of the sparse levels as a function of their masks."""
        convolutions = (self.convolutions(level) for level in sorted(SPARSE_LEVELS))
        return SparseCost([(conv.products("masked"), head.products("masked")) for conv, head in convolutions])

    def convolutions(self, level: int) -> tuple[SparseConv2d, SparseConv2d]:
        """Return the two sparse convolutions of level 1, 2 or 3: that of the features, and the head."""
        return cast(SparseConv2d, self.levels[level - 1]), cast(SparseConv2d, self.high_heads[level - 1])


def _as_bands(head: Tensor, level: int) -> Tensor:
    """Turn the output (B, 9, h, w) of a head into detail bands (B, 3, 3, h, w) of a level, contiguous in memory."""
    return head.float().contiguous().unflatten(1, (3, 3)) * 2 ** (level - 1)
