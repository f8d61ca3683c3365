"""Two transforms of a 3x3 convolution that save products.

**Folding.** `conv3x3(nearest x2 of f)` reads every value of f several times. The phase of an output pixel is the parity
of its row and column. A pixel of each of the four phases sees only a 2x2 window of f. If the kernel's taps are summed
beforehand, 4 products per output pixel and channel pair are enough instead of 9. The kernels of the four phases
together are the kernel of one transposed convolution of size 4 and stride 2.

**Winograd's transform F(2x2, 3x3).** A 2x2 tile takes 16 products per channel pair instead of 36. Along an axis, pixels
p0..p3 and taps w0, w1, w2 give upper = m0 + m1 + m2 and lower = m1 - m2 + m3, with

    m0 = w0 (p0 - p2)    m3 = w2 (p3 - p1)    m1 = (w0 + w1 + w2)/2 (p1 + p2)    m2 = (w0 - w1 + w2)/2 (p2 - p1)

A tile sees only two pixels a, b of a coarse input per axis (p = a, a, b, b), so 9 products are enough instead of 16:

    m0 = (w0 + w1 - w2)/2 (a - b)    m3 = (w0 - w1 - w2)/2 (a - b)    m1 = (w0 + w1 + w2)/2 (a + b)    m2 = 0

Both inputs share the sums at the end. Per pixel, that takes 4 C + 2.25 C' products instead of 9 (C + C'). In memory,
an axis is ordered m0, m3, m1, m2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Pixels = Sequence[Tensor] | Tensor
#: Factors of the taps w0, w1, w2 in m0, m3, m1, m2: for the fine input, and for the coarse one.
TAPS = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5))
TAPS_OF_UPSAMPLED = ((0.5, 0.5, -0.5), (0.5, -0.5, -0.5), (0.5, 0.5, 0.5))


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


def transform(pixels: Pixels, out: Tensor) -> None:
    """Write the factors of m0, m3, m1, m2 that four pixels give into `out`, along the first axis."""
    torch.sub(pixels[0], pixels[2], out=out[0])
    torch.sub(pixels[3], pixels[1], out=out[1])
    torch.add(pixels[1], pixels[2], out=out[2])
    torch.sub(pixels[2], pixels[1], out=out[3])


def butterfly(pixels: Pixels, out: Tensor) -> None:
    """Write difference (for m0, m3) and sum (for m1) of two coarse pixels into `out`, along the first axis."""
    torch.sub(pixels[0], pixels[1], out=out[0])
    torch.add(pixels[0], pixels[1], out=out[1])


def spread(pixels: Pixels, out: Tensor) -> None:
    """Write the gradients of m0, m3, m1, m2, given those of upper and lower, into `out`, along the first axis."""
    out[0].copy_(pixels[0])
    out[1].copy_(pixels[1])
    torch.add(pixels[0], pixels[1], out=out[2])
    torch.sub(pixels[0], pixels[1], out=out[3])
