"""The context encoder: what WS-Net sees of the frames, warped to time t, wherever it is asked for."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from .layers import backward_warp, concatenate, conv_lrelu, halve_flow, halves
from .motion import Motion
from .sparse import Rows, Tiles

FLOW_SCALE = 20  # pixels; brings flows into the range of the images beside them
CHUNK = 2048  # pixels warped at a time
Features = list[Tensor]  # of one frame, finest level first: (B, widths[l-1], H/2^l, W/2^l)


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
            corners, weights = _bilinear(flow, pixels)
            _weighted_sum(_as_rows(frame), corners, weights.to(values.dtype), part)
        merged = _as_rows(self.merged)
        for chunk, out in zip(pixels.split(CHUNK), parts[2].split(CHUNK), strict=True):
            out.copy_(merged.index_select(0, chunk))
        return Rows(values, (wanted.flatten().cumsum(0) - 1).view_as(wanted).masked_fill_(~wanted, len(pixels)))


def _as_rows(image: Tensor) -> Tensor:
    """(B, C, h, w) -> (B * h * w, C), a view if the image is channels last in memory."""
    return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])


def _bilinear(flow: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """`backward_warp` as four neighbours and their weights.

    Args:
        flow: (B, 2, h, w). pixels: (n,) numbers of pixels of the (B, h, w) map.
    Returns:
        (4, n) numbers of pixels, and (4, n) weights that sum to 1.
    """
    _, _, height, width = flow.shape
    dx, dy = (flow[:, axis].flatten().index_select(0, pixels) for axis in range(2))
    column = pixels % width
    row = pixels.div(width, rounding_mode="floor") % height
    first = pixels - row * width - column
    x, y = dx.add_(column).clamp_(0, width - 1), dy.add_(row).clamp_(0, height - 1)
    # The last row and column keep a neighbour inside, so that every neighbour exists: there its weight is 1.
    left, top = x.floor().clamp_(max=max(width - 2, 0)), y.floor().clamp_(max=max(height - 2, 0))
    right_weight, bottom_weight = x.sub_(left), y.sub_(top)
    corner = first + top.long() * width + left.long()
    right, down = min(1, width - 1), width * min(1, height - 1)
    corners = torch.stack([corner, corner + right, corner + down, corner + down + right])
    left_weight, top_weight = 1 - right_weight, 1 - bottom_weight
    weights = [top_weight * left_weight, top_weight * right_weight]
    weights += [bottom_weight * left_weight, bottom_weight * right_weight]
    return corners, torch.stack(weights)


def _weighted_sum(rows: Tensor, corners: Tensor, weights: Tensor, out: Tensor) -> None:
    """out (n, C) = the sum over the four of weights (4, n) * rows (m, C) at corners (4, n)."""
    chunks = zip(corners.split(CHUNK, dim=1), weights.split(CHUNK, dim=1), out.split(CHUNK), strict=True)
    for corner, weight, result in chunks:
        read = rows.index_select(0, corner.flatten()).view(4, len(result), rows.shape[1])
        torch.mul(read[0], weight[0, :, None], out=result)
        for k in range(1, 4):
            result.addcmul_(read[k], weight[k, :, None])
