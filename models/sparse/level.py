"""One sparse level of WS-Net: features at the halo, from them the outputs of a head at the mask."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .conv import GATHERING, SparseConv2d
from .head import TileHead
from .tile_maps import Rows, Tiles


class Context(Protocol):
    """An input that is made where it is needed: everywhere, or on the surroundings of tiles."""

    dtype: torch.dtype

    @property
    def dense(self) -> Tensor:
        """(B, C, h, w), everywhere."""

    def rows(self, tiles: Tiles) -> Rows:
        """On the surroundings of tiles alone."""


class Level(NamedTuple):
    """What a level gives.

    features: (B, C, h, w), exactly 0 outside the halo; None unless kept. head: (B, C_head, h, w), 0 outside the mask.
    executed: (B,) multiply-accumulates per pixel of the level.
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
    """features = leaky_relu(conv(context, nearest x2 of coarse) * halo), head(features) * mask.

    Args:
        mask, halo: (B, 1, h, w) in {0, 1}, `halo` being `mask` dilated 3x3.
        keep: whether the features themselves are needed.
    """
    way = conv.way(halo, context.dtype)
    if way in GATHERING:
        tiles = Tiles.covering(halo)
        coarse = coarse if isinstance(coarse, Rows) else Rows.of(coarse)
        outputs = TileHead(head.weight.to(context.dtype), head.bias.to(context.dtype), tiles)
        rows = conv.on_tiles(way, context.rows(tiles), coarse, tiles, slope=slope, head=outputs, keep=keep)
        return Level(rows, outputs.finish(mask), tiles.share() * (conv.products(way) + outputs.products))
    coarse = coarse.dense() if isinstance(coarse, Rows) else coarse
    # Where its mask is 1, the head reads nothing outside the halo: features that nobody keeps need no zeros there.
    limit = halo if keep or way != "folded" else torch.ones_like(halo)
    features = conv.everywhere(way, context.dense, limit, coarse, slope=slope)
    # The kernel for GPUs computes the active pixels alone.
    shares = [m.mean((1, 2, 3)) if way == "triton" else torch.ones_like(m[:, 0, 0, 0]) for m in (halo, mask)]
    executed = shares[0] * conv.products(way) + shares[1] * head.products(way)
    return Level(features if keep else None, head.everywhere(way, features, mask), executed)
