"""One sparse level of WS-Net: features on the halo, and from them the head's output on the mask.

The halo is the mask dilated by one pixel, which is all that the head's 3x3 convolution reads.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .conv import GATHERING, SparseConv2d
from .head import TileHead
from .tile_maps import Rows, Tiles


class Context(Protocol):
    """An input that is computed where it is needed: everywhere, or on the pixels around tiles."""

    dtype: torch.dtype

    @property
    def dense(self) -> Tensor:
        """The input of all pixels, (B, C, h, w)."""

    def rows(self, tiles: Tiles) -> Rows:
        """Return the input of the pixels that a 3x3 kernel on the tiles reads."""


class Level(NamedTuple):
    """The results of a level.

    features: (B, C, h, w), exactly 0 outside the halo; None if they are not kept.
    head: (B, C_head, h, w), exactly 0 outside the mask.
    executed: (B,) multiply-accumulates that were computed, per pixel of the level.
    """

    features: Tensor | Rows | None
    head: Tensor
    executed: Tensor


def sparse_level(
    conv: SparseConv2d,
    head: SparseConv2d,
    context: Context,
    coarse: Tensor | Rows,
    mask: Tensor,
    halo: Tensor,
    *,
    slope: float,
    keep: bool,
) -> Level:
    """Compute features = leaky_relu(conv(context, nearest x2 of coarse) * halo), and head(features) * mask.

    Args:
        conv, head: the two convolutions of the level.
        context: the fine input.
        coarse: features of the next coarser level, (B, C', h/2, w/2).
        mask: (B, 1, h, w) in {0, 1}.
        halo: (B, 1, h, w) in {0, 1}, `mask` dilated 3x3.
        slope: slope of the LeakyReLU.
        keep: True to return the features.
    """
    way = conv.way(halo, context.dtype)
    if way in GATHERING:
        tiles = Tiles.covering(halo)
        coarse = coarse if isinstance(coarse, Rows) else Rows.of(coarse)
        outputs = TileHead(head.weight.to(context.dtype), head.bias.to(context.dtype), tiles)
        rows = conv.on_tiles(way, context.rows(tiles), coarse, tiles, slope=slope, head=outputs, keep=keep)
        return Level(rows, outputs.finish(mask), tiles.share() * (conv.products(way) + outputs.products))
    coarse = coarse.dense() if isinstance(coarse, Rows) else coarse
    # The head's active pixels read nothing outside the halo, so features that are not kept need no zeros there.
    limit = halo if keep or way != "folded" else torch.ones_like(halo)
    features = conv.everywhere(way, context.dense, limit, coarse, slope=slope)
    # Only the kernel for GPUs leaves the inactive pixels out.
    shares = [m.mean((1, 2, 3)) if way == "triton" else torch.ones_like(m[:, 0, 0, 0]) for m in (halo, mask)]
    executed = shares[0] * conv.products(way) + shares[1] * head.products(way)
    return Level(features if keep else None, head.everywhere(way, features, mask), executed)
