"""Convolve an upsampled input without upsampling it.

`conv3x3(nearest x2 of f)` reads every value of f several times. The phase of an output pixel is the parity of its row
and column. A pixel of each of the four phases sees only a 2x2 window of f. If the kernel's taps are summed beforehand,
4 products per output pixel and channel pair are enough instead of 9. The kernels of the four phases together are the
kernel of one transposed convolution of size 4 and stride 2.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def fold_upsampling(weight: Tensor) -> Tensor:
    """Convert a 3x3 kernel for the upsampled input to the 4x4 kernel of a transposed convolution for the input itself.

    Args:
        weight: (C_out, C_in, 3, 3).
    Returns:
        (C_in, C_out, 4, 4). Along an axis, the taps are (w2, w1 + w2, w0 + w1, w0).
    """
    for axis in (2, 3):
        w0, w1, w2 = weight.unbind(axis)
        weight = torch.stack([w2, w1 + w2, w0 + w1, w0], dim=axis)
    return weight.transpose(0, 1)


class FoldedKernel(NamedTuple):
    """The folded part of a kernel.

    coarse: (C', C_out, 4, 4) kernel of the transposed convolution for the coarse input.
    """

    coarse: Tensor


def pack_folded(weight: Tensor, fine_channels: int, dtype: torch.dtype | None = None) -> FoldedKernel:
    """Fold the part of a kernel (C_out, C + C', 3, 3) that belongs to the coarse input. Differentiable.

    Args:
        weight: the kernel.
        fine_channels: C, the channels of the fine input.
        dtype: type of the result. Default: that of the kernel.
    """
    return FoldedKernel(fold_upsampling(weight[:, fine_channels:]).to(dtype or weight.dtype))


def conv_of_upsampled(coarse: Tensor, kernel: FoldedKernel) -> Tensor:
    """Compute conv3x3(nearest x2 of `coarse`), padding 1, without bias. Differentiable.

    Args:
        coarse: (B, C', h, w).
        kernel: from `pack_folded`.
    Returns:
        (B, C_out, 2h, 2w).
    """
    return F.conv_transpose2d(coarse, kernel.coarse, stride=2, padding=1)
