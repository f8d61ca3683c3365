"""One sparse level of WS-Net: features at the halo, from them the outputs of a head at the mask."""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .choose import choose
from .conv import SparseConv2d
from .head import TileHead
from .rows import Rows, Tiles
from .tiles import pack_kernel, tile_conv


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
    method = choose(conv.method, halo, context.dtype, conv.out_channels)
    if method == "gather":
        tiles = Tiles.covering(halo)
        x, coarse = context.rows(tiles), coarse if isinstance(coarse, Rows) else Rows.of(coarse)
        outputs = TileHead(head.weight.to(context.dtype), head.bias.to(context.dtype), tiles)
        kernel = conv.packed(pack_kernel, context.dtype)
        rows = tile_conv(kernel, conv.bias, x, coarse, tiles, slope=slope, head=outputs, keep=keep)
        executed = tiles.share() * (conv.products(method) + outputs.products)
        return Level(rows, outputs.finish(mask), executed)
    coarse = coarse.dense() if isinstance(coarse, Rows) else coarse
    if method == "triton":
        features = conv.triton(context.dense, halo, coarse, slope=slope)
        executed = halo.mean((1, 2, 3)) * conv.products(method) + mask.mean((1, 2, 3)) * head.products(method)
        return Level(features, head.triton(features, mask), executed)
    is_folded = method == "folded"
    compute, finish = (conv.folded, head.folded) if is_folded else (conv.masked, head.masked)
    features = F.leaky_relu(compute(context.dense, halo, coarse), slope, inplace=True)
    executed = torch.full_like(mask[:, 0, 0, 0], conv.products(method) + head.products(method))
    return Level(features, finish(features, mask), executed)
