"""A convolution of an upsampled input, without the upsampled input.

`conv3x3(nearest x2 of f)` reads every value of f several times: each of the four output phases sees only a 2x2 window
of f. Summing the kernel's taps beforehand leaves 4 products per output pixel and channel pair instead of 9, without
loss. The four phase kernels together are the kernel of one transposed convolution of size 4 and stride 2.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def fold_upsampling(weight: Tensor) -> Tensor:
    """3x3 kernel for the upsampled input -> 4x4 kernel of the transposed convolution for the input itself.

    Args:
        weight: (C_out, C_in, 3, 3).
    Returns:
        (C_in, C_out, 4, 4). Along an axis: (w2, w1 + w2, w0 + w1, w0).
    """
    for axis in (2, 3):
        w0, w1, w2 = weight.unbind(axis)
        weight = torch.stack([w2, w1 + w2, w0 + w1, w0], dim=axis)
    return weight.transpose(0, 1)


class FoldedKernel(NamedTuple):
    """What `pack_folded` returns. coarse: (C', C_out, 4, 4)."""

    coarse: Tensor


def pack_folded(weight: Tensor, fine_channels: int, dtype: torch.dtype | None = None) -> FoldedKernel:
    """(C_out, C + C', 3, 3), of which C' belong to the upsampled input -> folded, in `dtype`. Differentiable."""
    return FoldedKernel(fold_upsampling(weight[:, fine_channels:]).to(dtype or weight.dtype))


def conv_of_upsampled(coarse: Tensor, kernel: FoldedKernel) -> Tensor:
    """conv3x3(nearest x2 of `coarse`), padding 1, no bias: (B, C', h, w) -> (B, C_out, 2h, 2w). Differentiable."""
    return F.conv_transpose2d(coarse, kernel.coarse, stride=2, padding=1)
