"""Compute a sparse convolution on the active tiles alone: gather their windows, and multiply by matrices.

There are two ways. With many channels, products take most of the time. There, Winograd's transform (`transforms.py`)
needs the fewest products. With few channels, its transforms would take most of the time. There, the whole window of a
tile is one row, and one matrix gives the tile's four pixels. Some hundred tiles are processed at a time, so that the
buffers stay in the processor's cache. On a CPU, constant matrices are laid out for oneDNN once, which saves 15 to 25 %
of the time. Nothing here is differentiable.

The head is a convolution to few channels, of a map that is computed tile by tile. For nine output channels, gathering
3x3 windows of many channels would take most of the time. Instead, each tile is multiplied by its weights for the 4x4
pixels around it, in one matrix product. A cell of 2x2 output pixels is then the sum of the contributions of four tiles.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..layers import onednn_dtypes
from .tile_maps import Rows, Tiles, Windows
from .transforms import TAPS, TAPS_OF_UPSAMPLED, butterfly, transform

BUFFER = 2**21  # elements of the largest buffer: 8 MB in float32
LEAST = 512  # tiles at a time, at least; with fewer, reading the kernel takes longer than the products
ROWS = 512  # number of rows that a layout is chosen for; other numbers work, too


def lay_out(matrix: Tensor) -> Tensor:
    """Return a matrix (K, N) for `product`: in oneDNN's layout if there is one, else contiguous."""
    if not _has_layout(matrix):
        return matrix.contiguous()
    return torch.ops.mkldnn._reorder_linear_weight(matrix.t().contiguous(), ROWS)


def product(rows: Tensor, matrix: Tensor, *, plus: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Compute rows @ matrix + plus + bias, (n, N), without gradients.

    Args:
        rows: (n, K), contiguous.
        matrix: (K, N), from `lay_out`.
        plus: (n, N), contiguous. Default: 0.
        bias: (N,). Default: 0.
    """
    if not matrix.is_mkldnn:
        out = rows @ matrix if plus is None else torch.addmm(plus, rows, matrix)
        return out if bias is None else out.add_(bias)
    if plus is None:
        return torch.ops.mkldnn._linear_pointwise(rows, matrix, bias, "none", [], "")
    return torch.ops.mkldnn._linear_pointwise.binary(rows, plus, matrix, bias, "add")


def _has_layout(matrix: Tensor) -> bool:
    # torch.compile uses this function for linear layers on CPUs. It is not public, so it may be missing.
    is_known = matrix.dtype in onednn_dtypes() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    return is_known and matrix.device.type == "cpu" and matrix.numel() > 0


class TileKernel(NamedTuple):
    """A 3x3 kernel in the transform domain.

    fine: 4x4 matrices (C, C_out) for the fine input.
    coarse: 3x3 matrices (C', C_out) for the coarse input.
    """

    fine: list[list[Tensor]]
    coarse: list[list[Tensor]]


def pack_kernel(weight: Tensor, fine_channels: int, dtype: torch.dtype | None = None) -> TileKernel:
    """Transform a kernel (C_out, C + C', 3, 3) for the way "winograd". Arguments: those of `transforms.pack_folded`."""
    parts = weight.double().split([fine_channels, weight.shape[1] - fine_channels], dim=1)
    matrices = (
        torch.einsum("ai,bj,ocij->abco", taps, taps, part).to(dtype or weight.dtype)
        for taps, part in zip(map(parts[0].new_tensor, (TAPS, TAPS_OF_UPSAMPLED)), parts, strict=True)
    )
    return TileKernel(*([[lay_out(matrix) for matrix in row] for row in part] for part in matrices))


class WindowKernel(NamedTuple):
    """A 3x3 kernel as matrices that map a tile's window to its four pixels.

    fine: (16 C, 4 C_out) for the fine input.
    coarse: (4 C', 4 C_out) for the coarse input.
    """

    fine: Tensor
    coarse: Tensor


def pack_windows(weight: Tensor, fine_channels: int, dtype: torch.dtype | None = None) -> WindowKernel:
    """Arrange a kernel (C_out, C + C', 3, 3) for the way "windows". Arguments: those of `transforms.pack_folded`."""
    outputs, inputs = weight.shape[:2]
    kernel = weight.new_zeros(4, 4, inputs, 2, 2, outputs)
    for u, v in itertools.product(range(2), repeat=2):
        kernel[u : u + 3, v : v + 3, :, u, v] = weight.permute(2, 3, 1, 0)
    fine, coarse = kernel.flatten(3).split([fine_channels, inputs - fine_channels], dim=2)
    coarse = coarse.unflatten(1, (2, 2)).unflatten(0, (2, 2)).sum((1, 3))  # two rows and columns of each pixel
    return WindowKernel(*(lay_out(part.flatten(0, 2).to(dtype or weight.dtype)) for part in (fine, coarse)))


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


def tile_conv(
    kernel: TileKernel | WindowKernel,
    bias: Tensor,
    x: Rows,
    coarse: Rows | None,
    tiles: Tiles,
    *,
    slope: float = 1.0,
    head: TileHead | None = None,
    keep: bool = True,
) -> Rows | None:
    """Compute leaky_relu(conv3x3(cat(x, nearest x2 of coarse)), slope) on the tiles.

    Args:
        kernel: from `pack_kernel` or `pack_windows`, in the dtype of x.
        bias: (C_out,).
        x: map (B, C, h, w).
        coarse: map (B, C', h/2, w/2), or None.
        tiles: the tiles to compute.
        slope: slope of the LeakyReLU; 1: no activation.
        head: a convolution of the result, which takes it chunk by chunk, while it is in the cache.
        keep: True to return the result, a map (B, C_out, h, w). Otherwise None is returned, which saves memory.
    """
    count, width = tiles.count, len(bias)
    values = x.values.new_empty(4 * count + 1 if keep else 1, width)
    values[-1] = 0
    inputs = Windows(x, tiles, scale=2), None if coarse is None else Windows(coarse, tiles, scale=1)
    step = min(max(BUFFER // (16 * max(x.values.shape[1], width)), LEAST), max(count, 1))
    make: Callable[..., _Chunk | _Windows] = _Chunk if isinstance(kernel, TileKernel) else _Windows
    for start in range(0, count, step):
        if start == 0 or start + step > count:
            size, bias = min(step, count - start), bias.to(values.dtype)
            chunk = make(kernel, bias, *inputs, size)
        result = F.leaky_relu_(chunk.compute(start), slope)  # (n, 2, 2, C_out)
        tiles.clear_beyond(start, result)
        if head is not None:
            head.add(start, result)
        if keep:
            values[4 * start : 4 * (start + len(result))].view_as(result).copy_(result)
    return Rows.in_tiles(tiles, values) if keep else None


class _Chunk:
    """The convolution of `size` tiles at a time, by Winograd's transform. Buffers are made once."""

    def __init__(self, kernel: TileKernel, bias: Tensor, fine: Windows, coarse: Windows | None, size: int):
        self.kernel, self.bias, self.fine, self.coarse = kernel, bias, fine, coarse
        new, channels = fine.values.new_empty, fine.values.shape[1]
        self.read, self.half = new(size, 4, 4, channels), new(4, size, 4, channels)
        self.domain = new(4, 4, size, channels)
        self.result = new(size, 2, 2, len(bias))
        if coarse is not None:
            channels = coarse.values.shape[1]
            self.coarse_read, self.coarse_half = new(size, 2, 2, channels), new(2, size, 2, channels)
            self.coarse_domain = new(2, 2, size, channels)

    def compute(self, start: int) -> Tensor:
        """Return the pixels of the tiles from number `start` on, (size, 2, 2, C_out). The next call overwrites them."""
        self.fine.read(start, self.read)
        transform(self.read.transpose(0, 1), self.half)
        transform(self.half.permute(2, 0, 1, 3), self.domain)
        if self.coarse is not None:
            self.coarse.read(start, self.coarse_read)
            butterfly(self.coarse_read.transpose(0, 1), self.coarse_half)
            butterfly(self.coarse_half.permute(2, 0, 1, 3), self.coarse_domain)
        halves = zip(*(self._column(j) for j in range(4)), strict=True)
        for (m0, m3, m1, m2), out in zip(halves, self.result.unbind(1), strict=True):
            torch.add(m1, m2, out=out[:, 0]).add_(m0)
            torch.sub(m1, m2, out=out[:, 1]).add_(m3)
        return self.result

    def _column(self, j: int) -> tuple[Tensor, Tensor]:
        """Return the upper and lower pixels of column j of the transform domain, (size, C_out) each."""
        m1, m2 = self._product(2, j), self._product(3, j)
        return self._product(0, j, m1 + m2), self._product(1, j, m1.sub_(m2))

    def _product(self, i: int, j: int, plus: Tensor | None = None) -> Tensor:
        """Return `plus` and the products of both inputs at place (i, j), summed: (size, C_out)."""
        if self.coarse is not None and max(i, j) < 3:
            plus = product(self.coarse_domain[j // 2, i // 2], self.kernel.coarse[i][j], plus=plus)
        bias = self.bias if i == j == 2 else None  # m1 m1 enters all four pixels with weight 1
        return product(self.domain[j, i], self.kernel.fine[i][j], plus=plus, bias=bias)


class _Windows:
    """The convolution of `size` tiles at a time, by whole windows."""

    def __init__(self, kernel: WindowKernel, bias: Tensor, fine: Windows, coarse: Windows | None, size: int):
        self.kernel, self.bias, self.fine, self.coarse = kernel, bias.repeat(4), fine, coarse
        self.read = fine.values.new_empty(size, 4, 4, fine.values.shape[1])
        if coarse is not None:
            self.coarse_read = coarse.values.new_empty(size, 2, 2, coarse.values.shape[1])

    def compute(self, start: int) -> Tensor:
        """Return the pixels of the tiles from number `start` on, (size, 2, 2, C_out)."""
        plus = None
        if self.coarse is not None:
            self.coarse.read(start, self.coarse_read)
            plus = product(self.coarse_read.flatten(1), self.kernel.coarse)
        self.fine.read(start, self.read)
        result = product(self.read.flatten(1), self.kernel.fine, plus=plus, bias=self.bias)
        return result.view(len(result), 2, 2, -1)
