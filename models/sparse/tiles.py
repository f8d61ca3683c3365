"""Sparse convolution where it is wanted alone: gather tiles, transform, matrix products, transform back.

Winograd's F(2x2, 3x3): a 2x2 tile of a 3x3 convolution takes 16 products per pair of channels instead of 36. Along an
axis, pixels p0..p3 and taps w0, w1, w2 give upper = m0 + m1 + m2 and lower = m1 - m2 - m3 with

    m0 = w0 (p0 - p2)    m3 = w2 (p1 - p3)    m1 = (w0 + w1 + w2)/2 (p1 + p2)    m2 = (w0 - w1 + w2)/2 (p2 - p1)

Of an upsampled input a tile sees two pixels a, b per axis (p = a, a, b, b), and 9 products do instead of 16:

    m0 = (w0 + w1 - w2)/2 (a - b)    m3 = (w1 + w2 - w0)/2 (a - b)    m1 = (w0 + w1 + w2)/2 (a + b)    m2 = 0

Both inputs share the way back. Per pixel that makes 4 C + 2.25 C' products where the plain formula has 9 (C + C').
In memory an axis is ordered m0, m3, m1, m2. Tiles are taken some hundred at a time, into buffers that stay in the
processor's cache. Nothing here is differentiable.
"""

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .head import TileHead
from .rows import Rows, Tiles, Windows

BUFFER = 2**21  # elements of the largest buffer: 8 MB in float32
LEAST = 512  # tiles at a time; with fewer, reading the kernel again and again takes longer than the products


class TileKernel(NamedTuple):
    """A 3x3 kernel in the transform domain. fine: (4, 4, C, C_out). coarse: (3, C', 3 * C_out)."""

    fine: Tensor
    coarse: Tensor


def pack_kernel(weight: Tensor, fine_channels: int) -> TileKernel:
    """(C_out, C + C', 3, 3), of which C' belong to the upsampled input -> the transform domain, same dtype."""
    fine = weight.new_tensor([[2, 0, 0], [0, 0, 2], [1, 1, 1], [1, -1, 1]], dtype=torch.float64) / 2
    coarse = weight.new_tensor([[1, 1, -1], [-1, 1, 1], [1, 1, 1]], dtype=torch.float64) / 2
    of_fine, of_coarse = weight.double().split([fine_channels, weight.shape[1] - fine_channels], dim=1)
    return TileKernel(
        torch.einsum("ai,bj,ocij->abco", fine, fine, of_fine).to(weight.dtype).contiguous(),
        torch.einsum("ai,bj,ocij->acbo", coarse, coarse, of_coarse).to(weight.dtype).flatten(2).contiguous(),
    )


def tile_conv(
    kernel: TileKernel,
    bias: Tensor,
    x: Rows,
    coarse: Rows | None,
    tiles: Tiles,
    *,
    slope: float = 1.0,
    head: TileHead | None = None,
    keep: bool = True,
) -> Rows | None:
    """leaky_relu(conv3x3(cat(x, nearest x2 of coarse)), slope) on the tiles.

    Args:
        kernel, bias: from `pack_kernel`, in the dtype of x; (C_out,).
        x: (B, C, h, w). coarse: (B, C', h / 2, w / 2) or None.
        head: a convolution of the result; takes it chunk by chunk, while it is in the cache.
        keep: return the result, (B, C_out, h, w); else None, and it is never there as a whole.
    """
    count, width = tiles.count, len(bias)
    values = x.values.new_empty(4 * count + 1 if keep else 1, width)
    values[-1] = 0
    inputs = Windows(x, tiles, scale=2), None if coarse is None else Windows(coarse, tiles, scale=1)
    step = min(max(BUFFER // (16 * max(x.values.shape[1], width)), LEAST), max(count, 1))
    chunk = _Chunk(kernel, bias.to(values.dtype), *inputs, step)
    for start in range(0, count, step):
        if start + step > count:
            chunk = _Chunk(kernel, bias.to(values.dtype), *inputs, count - start)
        result = F.leaky_relu_(chunk.compute(start), slope)  # (n, 2, 2, C_out)
        tiles.clear_beyond(start, result)
        if head is not None:
            head.add(start, result)
        if keep:
            values[4 * start : 4 * (start + len(result))].view_as(result).copy_(result)
    return Rows.in_tiles(tiles, values) if keep else None


class _Chunk:
    """The convolution of `size` tiles at a time, from any first one on. Buffers and views of them are made once."""

    def __init__(self, kernel: TileKernel, bias: Tensor, fine: Windows, coarse: Windows | None, size: int):
        width, new = len(bias), fine.values.new_empty
        self.fine, self.coarse, self.bias = fine, coarse, bias
        self.read, self.half, self.domain = (new(size, 4, 4, kernel.fine.shape[2]) for _ in range(3))
        self.products, self.rows, self.result = new(size, 4, 4, width), new(size, 2, 4, width), new(size, 2, 2, width)
        places = list(itertools.product(range(4), repeat=2))
        steps = [(self.domain[:, i, j], kernel.fine[i, j], self.products[:, i, j]) for i, j in places]
        self.both = [step for step, place in zip(steps, places, strict=True) if max(place) < 3]
        self.alone = [step for step, place in zip(steps, places, strict=True) if max(place) == 3]
        if coarse is None:
            self.coarse_steps = []
            return
        self.coarse_read, self.coarse_half = (new(size, 2, 2, kernel.coarse.shape[1]) for _ in range(2))
        difference, total = self.coarse_read[:, 0], self.coarse_read[:, 1]
        self.coarse_steps = [
            (pixels[:, k], kernel.coarse[i][:, columns], self.products[:, i, places].flatten(1))
            for i, pixels in enumerate((difference, difference, total))
            for k, columns, places in ((0, slice(2 * width), slice(2)), (1, slice(2 * width, None), slice(2, 3)))
        ]

    def compute(self, start: int) -> Tensor:
        """(size, 2, 2, C_out), overwritten by the next call."""
        if self.coarse is None:
            self.products[:, :3, :3] = 0
        else:
            self.coarse.read(start, self.coarse_read)
            _butterfly(self.coarse_read.transpose(0, 1), self.coarse_half.transpose(0, 1))
            _butterfly(self.coarse_half.permute(2, 0, 1, 3), self.coarse_read.permute(2, 0, 1, 3))
        for pixels, kernel, out in self.coarse_steps:
            torch.mm(pixels, kernel, out=out)
        self.products[:, 2, 2] += self.bias  # m1 m1 enters all four pixels with weight 1
        self.fine.read(start, self.read)
        _forward(self.read.transpose(0, 1), self.half.transpose(0, 1))
        _forward(self.half.permute(2, 0, 1, 3), self.domain.permute(2, 0, 1, 3))
        for pixels, kernel, out in self.both:
            out.addmm_(pixels, kernel)
        for pixels, kernel, out in self.alone:
            torch.mm(pixels, kernel, out=out)
        _backward(self.products.transpose(0, 1), self.rows.transpose(0, 1))
        _backward(self.rows.permute(2, 0, 1, 3), self.result.permute(2, 0, 1, 3))
        return self.result


def _forward(pixels: Tensor, out: Tensor) -> None:
    """Four pixels -> m0, m3, m1, m2, along the first axis."""
    torch.sub(pixels[:2], pixels[2:], out=out[:2])
    torch.add(pixels[1], pixels[2], out=out[2])
    torch.sub(pixels[2], pixels[1], out=out[3])


def _butterfly(pixels: Tensor, out: Tensor) -> None:
    """Two pixels -> difference, sum, along the first axis."""
    torch.sub(pixels[0], pixels[1], out=out[0])
    torch.add(pixels[0], pixels[1], out=out[1])


def _backward(m: Tensor, out: Tensor) -> None:
    """m0, m3, m1, m2 -> upper and lower pixel, along the first axis."""
    torch.add(m[2], m[3], out=out[0]).add_(m[0])
    torch.sub(m[2], m[3], out=out[1]).sub_(m[1])
