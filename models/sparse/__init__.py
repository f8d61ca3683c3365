"""Sparse convolution: its meaning here, how it is computed quickly in the modules beside."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .phases import conv_of_upsampled

METHODS = ("folded", "masked")


class SparseConv2d(nn.Conv2d):
    """3x3 convolution that is only wanted where a mask is 1: it *means* `conv(cat(x, nearest x2 of coarse)) * mask`.

    The mask multiplies after the bias, so inactive pixels are exactly 0. `method` says how it is computed:
    "masked", as it is written above; "folded", without upsampling (`phases.py`), the default. Results are equal.

    The work is cut in two, so that candidates which differ in the mask alone share what depends on `x` alone:
    `conv(x, coarse, mask) == conv.finish(conv.start(x), coarse, mask)`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, coarse_channels: int = 0):
        super().__init__(in_channels + coarse_channels, out_channels, kernel_size=3, padding=1)
        self.fine_channels = in_channels
        self.method = "folded"

    def forward(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:
        """x: (B, C, H, W); mask: (B, 1, H, W) in {0, 1}; coarse: (B, C', H/2, W/2) -> (B, C_out, H, W)."""
        return self.finish(self.start(x), coarse, mask)

    def start(self, x: Tensor) -> Tensor:
        """What does not depend on the mask."""
        if self.method == "masked":
            return x
        return F.conv2d(x, self.weight[:, : self.fine_channels], self.bias, padding=1)

    def finish(self, started: Tensor, coarse: Tensor | None, mask: Tensor) -> Tensor:
        """The result, from what `start` returned."""
        if self.method == "masked":
            parts = [started] if coarse is None else [started, F.interpolate(coarse, scale_factor=2, mode="nearest")]
            return super().forward(torch.cat(parts, dim=1)) * mask
        if coarse is not None:
            started = started + conv_of_upsampled(coarse, self.weight[:, self.fine_channels :])
        return started * mask
