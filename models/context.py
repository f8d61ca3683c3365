"""The context encoder: what WS-Net sees of the frames, warped to time t, wherever it is asked for."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from .bilinear import as_rows, corners, weighted_rows
from .layers import ConvLReLU, backward_warp, concatenate, halve_flow, halves
from .motion import Motion
from .sparse import Rows, Tiles

FLOW_SCALE = 20  # pixels; brings flows into the range of the images beside them
Features = list[Tensor]  # of one frame, finest level first: (B, widths[l-1], H/2^l, W/2^l)


class ContextPyramid(nn.Module):
    """Four convolutions of stride 2."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]):
        super().__init__()
        inputs = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(ConvLReLU(i, o, stride=2) for i, o in zip(inputs, widths, strict=True))

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

    def encode(self, image: Tensor) -> Features:
        """A frame, whatever its pair: (B, 3, H, W) -> features, finest first: (B, widths[l-1], H/2^l, W/2^l)."""
        return self.frames(image.to(self.frames.levels[0][0].weight.dtype))  # type: ignore[index]

    def forward(self, features: tuple[Features, Features], merged: Tensor, motion: Motion) -> list["LevelContext"]:
        """Both frames' features -> context, finest first: 3 * widths[l-1] channels of size H/2^l x W/2^l."""
        flow_t0, flow_t1, occlusion = motion[:3]
        seen = concatenate([merged, flow_t0 / FLOW_SCALE, flow_t1 / FLOW_SCALE, occlusion], like=features[0][0])
        flows, context = torch.cat([flow_t0, flow_t1]), []
        for *frames, feature in zip(*features, self.merged(seen), strict=True):
            flows = halve_flow(flows)
            context.append(LevelContext(frames, halves(flows), feature))
        return context


class LevelContext:
    """The context of one level: cat(warp of img0's features, warp of img1's features, the merged frame's features).

    Args:
        frames: (B, C, h, w) each, features of img0 and of img1. flows: (B, 2, h, w) each, flow_t0 and flow_t1, in
            pixels of this level. merged: (B, C, h, w).
    """

    def __init__(self, frames: Sequence[Tensor], flows: Sequence[Tensor], merged: Tensor):
        self.frames, self.flows, self.merged, self.dtype = frames, flows, merged, merged.dtype

    @cached_property
    def dense(self) -> Tensor:
        """(B, 3C, h, w), everywhere."""
        return concatenate([*map(backward_warp, self.frames, self.flows), self.merged], like=self.merged)

    def rows(self, tiles: Tiles) -> Rows:
        """The same where a 3x3 kernel on the tiles reads it, zero elsewhere. Not differentiable."""
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
