"""Feature maps that are known at some pixels only, and the 2x2 tiles in which those pixels come."""

import dataclasses
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Tiles of 2x2 pixels at odd positions: tile (i, j) covers rows 2i - 1, 2i and columns 2j - 1, 2j.

    A mask of WS-Net is made of 2x2 cells at even positions (it is upsampled), so the halo around it is made of exactly
    such tiles. A 3x3 kernel on a tile reads a 4x4 window of four whole cells, and of an upsampled input 2x2 pixels.

    number: (B, h // 2 + 1, w // 2 + 1) int64, counts the tiles that are there; n where there is none.
    sample, row, column: (n,) int64. height, width: of the map the tiles lie on.
    """

    number: Tensor
    sample: Tensor
    row: Tensor
    column: Tensor
    height: int
    width: int

    @classmethod
    def covering(cls, mask: Tensor) -> "Tiles":
        """The tiles that hold any active pixel of (B, 1, h, w) in {0, 1}."""
        active = F.max_pool2d(mask, 2, stride=2, padding=1)[:, 0] > 0
        place = active.nonzero(as_tuple=True)
        number = torch.full(active.shape, len(place[0]), device=mask.device)
        number[place] = torch.arange(len(place[0]), device=mask.device)
        (sample, row, column), (height, width) = place, mask.shape[-2:]
        return cls(number, sample, row, column, height, width)

    @property
    def count(self) -> int:
        """Tiles in the whole batch."""
        return len(self.sample)

    def share(self) -> Tensor:
        """(B,) pixels of each sample's tiles, those beyond the border too, as a fraction of the map."""
        return (self.number < self.count).sum((1, 2)) * 4 / (self.height * self.width)

    def clear_beyond(self, start: int, result: Tensor) -> None:
        """Set to 0 what is not on the map of the tiles from `start` on: result (n, 2, 2, C)."""
        chunk = slice(start, start + len(result))
        row, column = 2 * self.row[chunk], 2 * self.column[chunk]
        sides = (result[:, 0], result[:, 1], result[:, :, 0], result[:, :, 1])
        beyond = (row == 0, row >= self.height, column == 0, column >= self.width)
        for pixels, tiles in zip(sides, beyond, strict=True):
            pixels.index_fill_(0, tiles.nonzero()[:, 0], 0)

    def surroundings(self) -> Tensor:
        """(B, h, w) bool, the pixels that a 3x3 kernel on the tiles reads."""
        cells = F.max_pool2d(F.pad((self.number < self.count).float(), (0, 1, 0, 1)), 2, stride=1)
        return cells.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, : self.height, : self.width] > 0


class Rows(NamedTuple):
    """A feature map (B, C, h, w) that is zero but for some pixels, whose features are rows.

    values: (n + 1, C), the last row zero. index: (B, h, w) int64, the row of each pixel; n where the map is zero.
    """

    values: Tensor
    index: Tensor  # type: ignore[assignment]  # hides the method of tuples

    @classmethod
    def of(cls, dense: Tensor) -> "Rows":
        """All pixels of (B, C, h, w)."""
        batch, channels, height, width = dense.shape
        values = dense.new_empty(batch * height * width + 1, channels)
        values[:-1].view(batch, height, width, channels).copy_(dense.permute(0, 2, 3, 1))
        values[-1] = 0
        return cls(values, torch.arange(len(values) - 1, device=dense.device).view(batch, height, width))

    @classmethod
    def in_tiles(cls, tiles: Tiles, values: Tensor) -> "Rows":
        """`values` (4 n + 1, C): of each tile the upper left, upper right, lower left, lower right pixel."""
        corner = torch.arange(4, device=values.device).view(2, 1, 2)
        number = tiles.number[:, :, None, :, None]
        index = torch.where(number < tiles.count, 4 * number + corner, len(values) - 1).flatten(3, 4).flatten(1, 2)
        return cls(values, index[:, 1 : tiles.height + 1, 1 : tiles.width + 1])

    def dense(self) -> Tensor:
        """(B, C, h, w), channels last in memory."""
        return self.values.index_select(0, self.index.flatten()).view(*self.index.shape, -1).permute(0, 3, 1, 2)


class Windows:
    """Reads, for every tile, the window of a map that a 3x3 kernel on the tile sees.

    scale: 2 for a map of the tiles' size, 4x4 windows; 1 for a map that is upsampled to it, 2x2 windows.
    """

    def __init__(self, rows: Rows, tiles: Tiles, *, scale: int):
        padded = F.pad(rows.index, (scale,) * 4, value=len(rows.values) - 1)
        _, height, width = padded.shape
        self.values, self.index = rows.values, padded.flatten()
        self.corner = ((tiles.sample * height + scale * tiles.row) * width + scale * tiles.column)[:, None]
        steps = torch.arange(2 * scale, device=padded.device)
        self.steps = (steps[:, None] * width + steps).flatten()

    def read(self, start: int, out: Tensor) -> None:
        """Windows of the tiles from `start` on into `out`, (n, 2 scale, 2 scale, C)."""
        where = self.index.index_select(0, (self.corner[start : start + len(out)] + self.steps).flatten())
        torch.index_select(self.values, 0, where, out=out.flatten(0, 2))
