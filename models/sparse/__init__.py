"""Sparse convolution: its meaning here, how it is computed quickly in the modules beside."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gather import gather_conv
from .phases import conv_of_upsampled

METHODS = ("auto", "folded", "gather", "masked")
BREAK_EVEN = 0.4  # active fraction below which gathering beats the dense convolution on a CPU


class Started(NamedTuple):
    """What a sparse convolution knows before the mask: its input, and the dense part where that is computed."""

    x: Tensor
    dense: Tensor | None


class SparseConv2d(nn.Conv2d):
    """3x3 convolution that is only wanted where a mask is 1: it *means* `conv(cat(x, nearest x2 of coarse)) * mask`.

    The mask multiplies after the bias, so inactive pixels are exactly 0. `method` says how it is computed; results are
    equal:
        "masked": as it is written above.
        "folded": everywhere, without upsampling (`phases.py`).
        "gather": on the active pixels alone (`gather.py`), without gradients.
        "auto": folded with gradients and on GPUs; on a CPU gather where few pixels are active. The default.

    The work is cut in two, so that candidates which differ in the mask alone share what depends on `x` alone:
    `conv(x, mask, coarse) == conv.finish(conv.start(x), coarse, mask)`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, coarse_channels: int = 0):
        super().__init__(in_channels + coarse_channels, out_channels, kernel_size=3, padding=1)
        self.fine_channels = in_channels
        self.method = "auto"

    def forward(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:
        """x: (B, C, H, W); mask: (B, 1, H, W) in {0, 1}; coarse: (B, C', H/2, W/2) -> (B, C_out, H, W)."""
        return self.finish(self.start(x), coarse, mask)

    def start(self, x: Tensor) -> Started:
        """What does not depend on the mask."""
        waits = self.method != "folded" and not (self.method == "auto" and self._is_folded_always(x))
        return Started(x, None if waits else self._dense(x))

    def finish(self, started: Started, coarse: Tensor | None, mask: Tensor) -> Tensor:
        """The result, from what `start` returned."""
        x, dense = started
        if self.method == "masked":
            parts = [x] if coarse is None else [x, F.interpolate(coarse, scale_factor=2, mode="nearest")]
            return super().forward(torch.cat(parts, dim=1)) * mask
        if dense is None and (self.method == "gather" or mask.mean() < BREAK_EVEN):
            return gather_conv(x, coarse, mask, self.weight, self.bias)
        dense = self._dense(x) if dense is None else dense
        if coarse is not None:
            dense = dense + conv_of_upsampled(coarse, self.weight[:, self.fine_channels :])
        return dense * mask

    def _dense(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, : self.fine_channels], self.bias, padding=1)

    def _is_folded_always(self, x: Tensor) -> bool:
        return torch.is_grad_enabled() or x.device.type != "cpu" or torch.compiler.is_compiling()
