"""A sparse convolution on the active pixels alone: gather their taps, one matrix product, put the rows back.

A few hundred pixels at a time, so that the gathered taps stay in the processor's cache. The upsampled input is folded
as in `phases.py`: a pixel reads a 2x2 window of it, at a place and with a kernel that depend on the pixel's parity.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from .phases import fold_upsampling

CHUNK = 512  # pixels; at 9 taps of 144 channels in float32 about 2.5 MB


def gather_conv(x: Tensor, coarse: Tensor | None, mask: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """conv3x3(cat(x, nearest x2 of coarse)) * mask, computed where mask is 1. Not differentiable.

    Args:
        x: (B, C, H, W). coarse: (B, C', H/2, W/2) or None. mask: (B, 1, H, W) in {0, 1}.
        weight: (C_out, C + C', 3, 3). bias: (C_out,).
    Returns:
        (B, C_out, H, W), channels last in memory, exactly 0 where mask is 0.
    """
    batch, channels, height, width = x.shape
    fine, fine_kernel = _Taps(x, range(-1, 2), range(-1, 2)), _as_matrix(weight[:, :channels])
    out = x.new_zeros(batch * height * width, len(weight))
    sample, _, row, column = mask.nonzero(as_tuple=True)
    if coarse is None:
        _accumulate(out, (sample, row, column), (height, width), bias, [(fine, fine_kernel, 1)])
    else:
        folded = fold_upsampling(weight[:, channels:]).transpose(0, 1)  # (C_out, C', 4, 4)
        for down, right in itertools.product((0, 1), repeat=2):
            chosen = ((row % 2 == down) & (column % 2 == right)).nonzero()[:, 0]
            taps = _Taps(coarse, range(down - 1, down + 1), range(right - 1, right + 1))
            kernel = _as_matrix(folded[:, :, [3 - down, 1 - down]][..., [3 - right, 1 - right]])
            pixels = (sample[chosen], row[chosen], column[chosen])
            _accumulate(out, pixels, (height, width), bias, [(fine, fine_kernel, 1), (taps, kernel, 2)])
    return out.view(batch, height, width, -1).permute(0, 3, 1, 2)


class _Taps:
    """The pixels of a map as rows, with a border of zeros, and where the taps of a pixel lie among them."""

    def __init__(self, image: Tensor, down: range, right: range):
        padded = F.pad(image, (1, 1, 1, 1)).permute(0, 2, 3, 1)
        _, self.height, self.width, channels = padded.shape
        self.rows = padded.reshape(-1, channels)
        offsets = [dy * self.width + dx for dy, dx in itertools.product(down, right)]
        self.offsets = torch.tensor(offsets, device=image.device)

    def read(self, sample: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """n pixels -> (n, taps * C)."""
        centre = (sample * self.height + row + 1) * self.width + column + 1
        taps = self.rows.index_select(0, (centre[:, None] + self.offsets).flatten())
        return taps.view(len(sample), len(self.offsets) * taps.shape[1])


def _accumulate(
    out: Tensor,
    pixels: tuple[Tensor, Tensor, Tensor],
    size: tuple[int, int],
    bias: Tensor,
    inputs: list[tuple[_Taps, Tensor, int]],
) -> None:
    """Write bias + the sum of taps @ kernel into the rows of the pixels; inputs: taps, kernel, how much coarser."""
    for sample, row, column in zip(*(positions.split(CHUNK) for positions in pixels), strict=True):
        result = bias
        for taps, kernel, factor in inputs:
            result = torch.addmm(result, taps.read(sample, row // factor, column // factor), kernel)
        out.index_copy_(0, (sample * size[0] + row) * size[1] + column, result)


def _as_matrix(weight: Tensor) -> Tensor:
    """(C_out, C, kh, kw) -> (kh * kw * C, C_out)."""
    return weight.permute(2, 3, 1, 0).reshape(-1, len(weight))
