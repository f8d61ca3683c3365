"""A convolution to few channels, of a map that is computed tile by tile.

For nine output channels, gathering 3x3 windows of many channels would take most of the time. Instead, each tile is
multiplied by its weights for the 4x4 pixels around it, in one matrix product. A cell of 2x2 output pixels is then the
sum of the contributions of four tiles.
"""

import itertools

import torch
from torch import Tensor

from .tile_maps import Tiles


class TileHead:
    """A 3x3 convolution of a map that is zero outside of `tiles`.

    Args:
        weight: (C_out, C, 3, 3).
        bias: (C_out,).
        tiles: the tiles of the map.
    """

    def __init__(self, weight: Tensor, bias: Tensor, tiles: Tiles):
        self.bias, self.tiles, self.width = bias, tiles, len(bias)
        kernel = weight.new_zeros(2, 2, weight.shape[1], 4, 4, self.width)
        # Pixel (u, v) contributes to pixel (u + 2 - dy, v + 2 - dx) by tap (dy, dx).
        for u, v in itertools.product(range(2), repeat=2):
            kernel[u, v, :, u : u + 3, v : v + 3] = weight.flip(2, 3).permute(1, 2, 3, 0)
        self.kernel = kernel.flatten(3).flatten(0, 2)  # (4 C, 16 C_out)
        self.contributions = weight.new_empty(tiles.count + 1, self.kernel.shape[1])
        self.contributions[-1] = 0

    @property
    def products(self) -> int:
        """The multiply-accumulates per pixel of the tiles."""
        return self.kernel.numel() // 4

    def add(self, start: int, result: Tensor) -> None:
        """Add the contributions of the tiles from number `start` on. `result` holds their pixels, (n, 2, 2, C)."""
        torch.mm(result.flatten(1), self.kernel, out=self.contributions[start : start + len(result)])

    def finish(self, mask: Tensor) -> Tensor:
        """Return conv3x3 * mask, (B, C_out, h, w), for a mask (B, 1, h, w) in {0, 1} that is made of 2x2 cells."""
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
