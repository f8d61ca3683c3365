"""The context encoder: features of both frames and of the merged frame, as input for WS-Net.

The features of a frame are warped to time t level by level. WS-Net may need them on some pixels only; then they are
warped there alone (`LevelContext.rows`).
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from .bilinear import as_rows, corners, weighted_rows
from .layers import ConvLReLU, backward_warp, concatenate, halve_flow, halves
from .motion import Motion
from .sparse import Rows, Tiles

FLOW_SCALE = 20  # pixels; flows are divided by it, to have the range of the images beside them
Features = list[Tensor]  # features of one frame, finest level first: (B, widths[l-1], H/2^l, W/2^l)


class ContextPyramid(nn.Module):
    """Four convolutions of stride 2, one per level."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]):
        super().__init__()
        inputs = (in_channels, *widths[:-1])
        self.levels = nn.ModuleList(ConvLReLU(i, o, stride=2) for i, o in zip(inputs, widths, strict=True))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode an image (B, C, H, W) to features, finest first: (B, widths[l-1], H/2^l, W/2^l)."""
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features


class ContextNet(nn.Module):
    """The context encoder: features of both frames, warped to time t, beside features of the merged frame."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.frames = ContextPyramid(3, widths)
        self.merged = ContextPyramid(3 + 2 + 2 + 1, widths)

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
