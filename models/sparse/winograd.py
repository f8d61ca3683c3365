"""Winograd's transform F(2x2, 3x3): a 2x2 tile of a 3x3 convolution takes 16 products per channel pair instead of 36.

Along an axis, pixels p0..p3 and taps w0, w1, w2 give upper = m0 + m1 + m2 and lower = m1 - m2 + m3, with

    m0 = w0 (p0 - p2)    m3 = w2 (p3 - p1)    m1 = (w0 + w1 + w2)/2 (p1 + p2)    m2 = (w0 - w1 + w2)/2 (p2 - p1)

A tile sees only two pixels a, b of a coarse input per axis (p = a, a, b, b), so 9 products are enough instead of 16:

    m0 = (w0 + w1 - w2)/2 (a - b)    m3 = (w0 - w1 - w2)/2 (a - b)    m1 = (w0 + w1 + w2)/2 (a + b)    m2 = 0

Both inputs share the sums at the end. Per pixel, that takes 4 C + 2.25 C' products instead of 9 (C + C'). In memory,
an axis is ordered m0, m3, m1, m2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Pixels = Sequence[Tensor] | Tensor
#: Factors of the taps w0, w1, w2 in m0, m3, m1, m2: for the fine input, and for the coarse one.
TAPS = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5))
TAPS_OF_UPSAMPLED = ((0.5, 0.5, -0.5), (0.5, -0.5, -0.5), (0.5, 0.5, 0.5))


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
