"""A convolution to few channels, of a result that comes tile by tile.

Gathering a 3x3 window of many channels for nine outputs would be all memory traffic. So every tile, as it comes, is
multiplied by all that it contributes to the 4x4 pixels around it: one matrix product. A 2x2 cell of the output is then
the sum of four tiles' contributions.
"""

import itertools

import torch
from torch import Tensor

from .tile_maps import Tiles


class TileHead:
    """conv3x3 of a map that is zero outside of `tiles`. weight: (C_out, C, 3, 3), bias: (C_out,)."""

    def __init__(self, weight: Tensor, bias: Tensor, tiles: Tiles):
        self.bias, self.tiles, self.width = bias, tiles, len(bias)
        kernel = weight.new_zeros(2, 2, weight.shape[1], 4, 4, self.width)
        for u, v in itertools.product(
            range(2), repeat=2
        ):  # tap (dy, dx) of pixel (u, v) reaches (u + 2 - dy, v + 2 - dx)
            kernel[u, v, :, u : u + 3, v : v + 3] = weight.flip(2, 3).permute(1, 2, 3, 0)
        self.kernel = kernel.flatten(3).flatten(0, 2)  # (4 C, 16 C_out)
        self.contributions = weight.new_empty(tiles.count + 1, self.kernel.shape[1])
        self.contributions[-1] = 0

    @property
    def products(self) -> int:
        """Multiply-accumulates per pixel of the tiles."""
        return self.kernel.numel() // 4

    def add(self, start: int, result: Tensor) -> None:
        """Take in tiles of the map, from `start` on: (n, 2, 2, C)."""
        torch.mm(result.flatten(1), self.kernel, out=self.contributions[start : start + len(result)])

    def finish(self, mask: Tensor) -> Tensor:
        """conv3x3 * mask, (B, C_out, h, w), for a mask (B, 1, h, w) made of 2x2 cells in {0, 1}."""
        batch, _, height, width = mask.shape
        cells = mask[:, 0, ::2, ::2]
        sample, row, column = cells.nonzero(as_tuple=True)
        halves = self.contributions.view(-1, 2 * self.width)  # half a row of a 4x4 block
        steps = torch.arange(2, device=mask.device)
        total = self.bias.repeat(2).expand(2 * len(sample), -1)
        for a, b in itertools.product(range(2), repeat=2):
            tile = self.tiles.number[sample, row + a, column + b]
            total = total + halves.index_select(0, ((tile[:, None] * 4 + steps + 2 - 2 * a) * 2 + 1 - b).flatten())
        out = total.new_zeros(cells.numel(), 4 * self.width)
        out[(sample * cells.shape[1] + row) * cells.shape[2] + column] = total.view(len(sample), 4 * self.width)
        out = out.view(*cells.shape, 2, 2, self.width).permute(0, 5, 1, 3, 2, 4)
        return out.reshape(batch, self.width, height, width)
