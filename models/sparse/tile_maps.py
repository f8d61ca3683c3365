"""Feature maps that are known on some pixels only, and the 2x2 tiles that these pixels form."""

import dataclasses
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Tiles of 2x2 pixels at odd positions: tile (i, j) covers rows 2i - 1, 2i and columns 2j - 1, 2j.

    A mask of WS-Net is upsampled, so it is made of cells of 2x2 pixels at even positions. The halo around it is made of
    exactly such tiles. A 3x3 kernel on a tile reads a 4x4 window of four whole cells. It reads 2x2 pixels of a coarse
    input before upsampling.

    number: (B, h // 2 + 1, w // 2 + 1) int64, the number of each tile, 0 to n - 1; n if there is no tile.
    sample: (n,) int64, the sample of each tile in the batch.
    row: (n,) int64, i of each tile.
    column: (n,) int64, j of each tile.
    height: h of the map on which the tiles lie.
    width: w of the map.
    """

    number: Tensor
    sample: Tensor
    row: Tensor
    column: Tensor
    height: int
    width: int

    @classmethod
    def covering(cls, mask: Tensor) -> "Tiles":
        """Return the tiles that contain an active pixel of a mask (B, 1, h, w) in {0, 1}."""
        active = F.max_pool2d(mask, 2, stride=2, padding=1)[:, 0] > 0
        place = active.nonzero(as_tuple=True)
        number = torch.full(active.shape, len(place[0]), device=mask.device)
        number[place] = torch.arange(len(place[0]), device=mask.device)
        (sample, row, column), (height, width) = place, mask.shape[-2:]
        return cls(number, sample, row, column, height, width)

    @property
    def count(self) -> int:
        """The number of tiles in the whole batch."""
        return len(self.sample)

    def share(self) -> Tensor:
        """Return the pixels of each sample's tiles as a fraction of the map, (B,).

        Pixels of tiles that lie beyond the border count, too.
        """
        return (self.number < self.count).sum((1, 2)) * 4 / (self.height * self.width)

    def clear_beyond(self, start: int, result: Tensor) -> None:
        """Set the pixels beyond the border to 0 in `result`, (n, 2, 2, C): the tiles from number `start` on."""
        chunk = slice(start, start + len(result))
        row, column = 2 * self.row[chunk], 2 * self.column[chunk]
        sides = (result[:, 0], result[:, 1], result[:, :, 0], result[:, :, 1])
        beyond = (row == 0, row >= self.height, column == 0, column >= self.width)
        for pixels, tiles in zip(sides, beyond, strict=True):
            pixels.index_fill_(0, tiles.nonzero()[:, 0], 0)

    def surroundings(self) -> Tensor:
        """Return True for the pixels that a 3x3 kernel on the tiles reads, (B, h, w) bool."""
        cells = F.max_pool2d(F.pad((self.number < self.count).float(), (0, 1, 0, 1)), 2, stride=1)
        return cells.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, : self.height, : self.width] > 0


class Rows(NamedTuple):
    """A feature map (B, C, h, w) that is zero except on n pixels, whose features are stored as rows.

    values: (n + 1, C), features of the pixels; the last row is zero.
    index: (B, h, w) int64, row number of each pixel; n where the map is zero.
    """

    values: Tensor
    index: Tensor  # type: ignore[assignment]  # hides the method of tuples

    @classmethod
    def of(cls, dense: Tensor) -> "Rows":
        """Return all pixels of a map (B, C, h, w) as rows."""
        batch, channels, height, width = dense.shape
        values = dense.new_empty(batch * height * width + 1, channels)
        values[:-1].view(batch, height, width, channels).copy_(dense.permute(0, 2, 3, 1))
        values[-1] = 0
        return cls(values, torch.arange(len(values) - 1, device=dense.device).view(batch, height, width))

    @classmethod
    def in_tiles(cls, tiles: Tiles, values: Tensor) -> "Rows":
        """Return the map of these tiles.

        Args:
            tiles: n tiles.
            values: (4 n + 1, C), upper left, upper right, lower left and lower right pixel of each tile; then zeros.
        """
        corner = torch.arange(4, device=values.device).view(2, 1, 2)
        number = tiles.number[:, :, None, :, None]
        index = torch.where(number < tiles.count, 4 * number + corner, len(values) - 1).flatten(3, 4).flatten(1, 2)
        return cls(values, index[:, 1 : tiles.height + 1, 1 : tiles.width + 1])

    def dense(self) -> Tensor:
        """Return the whole map, (B, C, h, w), channels last in memory."""
        return self.values.index_select(0, self.index.flatten()).view(*self.index.shape, -1).permute(0, 3, 1, 2)


class Windows:
    """A reader of the windows of a map that a 3x3 kernel on each tile sees.

    Args:
        rows: the map.
        tiles: the tiles.
        scale: 2 for a map of the tiles' size, which has 4x4 windows; 1 for a coarse map, which has 2x2 windows.
    """

    def __init__(self, rows: Rows, tiles: Tiles, *, scale: int):
        padded = F.pad(rows.index, (scale,) * 4, value=len(rows.values) - 1)
        _, height, width = padded.shape
        self.values, self.index = rows.values, padded.flatten()
        self.corner = ((tiles.sample * height + scale * tiles.row) * width + scale * tiles.column)[:, None]
        steps = torch.arange(2 * scale, device=padded.device)
        self.steps = (steps[:, None] * width + steps).flatten()

    def read(self, start: int, out: Tensor) -> None:
        """Read the windows of n tiles, from number `start` on, into `out`, (n, 2 scale, 2 scale, C)."""
        where = self.index.index_select(0, (self.corner[start : start + len(out)] + self.steps).flatten())
        torch.index_select(self.values, 0, where, out=out.flatten(0, 2))
