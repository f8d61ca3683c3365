"""What a sparse convolution means."""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import gradient
from .choose import choose
from .phases import conv_of_upsampled, pack_folded
from .rows import Rows, Tiles
from .tiles import pack_kernel, tile_conv
from .triton_kernels import pack_weights, triton_conv


class SparseConv2d(nn.Conv2d):
    """3x3 convolution that is only wanted where a mask is 1: it *means* `conv(cat(x, nearest x2 of coarse)) * mask`.

    The mask multiplies after the bias, so inactive pixels are exactly 0. `method` says how it is computed; results are
    equal:
        "masked": as it is written above, like the published code.
        "folded": everywhere, without upsampling (`phases.py`).
        "gather": on the active tiles alone (`tiles.py`), without gradients.
        "triton": on the active pixels alone, on a CUDA GPU (`triton_kernels.py`), without gradients.
        "auto": one of these, by density and device (`choose.py`). The default.
    """

    bias: Tensor

    def __init__(self, in_channels: int, out_channels: int, *, coarse_channels: int = 0):
        super().__init__(in_channels + coarse_channels, out_channels, kernel_size=3, padding=1)
        self.fine_channels = in_channels
        self.method = "auto"
        self._packed: dict[Callable, tuple[tuple, Any]] = {}

    def forward(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """x: (B, C, H, W); mask: (B, 1, H, W) in {0, 1}; coarse: (B, C', H/2, W/2) -> (B, C_out, H, W)."""
        method = choose(self.method, mask, x.dtype, self.out_channels)
        if method == "gather":
            kernel, tiles = self.packed(pack_kernel, x.dtype), Tiles.covering(mask)
            coarse_rows = None if coarse is None else Rows.of(coarse)
            rows = cast(Rows, tile_conv(kernel, self.bias, Rows.of(x), coarse_rows, tiles))
            return rows.dense() * mask.to(x.dtype)
        if method == "triton":
            return self.triton(x, mask, coarse)
        return self.masked(x, mask, coarse) if method == "masked" else self.folded(x, mask, coarse)

    def masked(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:
        """The meaning. Shapes as in `forward`."""
        parts = [x] if coarse is None else [x, F.interpolate(coarse, scale_factor=2, mode="nearest")]
        return super().forward(torch.cat(parts, dim=1)) * mask.to(x.dtype)

    def products(self, method: str) -> float:
        """Multiply-accumulates per pixel that is computed."""
        fine, coarse = {"masked": (9, 9), "folded": (9, 4), "triton": (9, 4), "gather": (4, 9 / 4)}[method]
        return (fine * self.fine_channels + coarse * (self.in_channels - self.fine_channels)) * self.out_channels

    def folded(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:
        """The same without the upsampled input. Shapes as in `forward`."""
        if coarse is not None and gradient.pays(self.weight, x):
            out = cast(Tensor, gradient.FoldedConv.apply(x, coarse, self.weight, self.bias))
        else:
            out = F.conv2d(x, self.weight[:, : self.fine_channels], self.bias, padding=1)
            if coarse is not None:
                keeps = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
                kernel = self.packed(pack_folded, x.dtype) if keeps else pack_folded(self.weight, self.fine_channels)
                out.add_(conv_of_upsampled(coarse, kernel))
        # A full mask changes nothing; on a CPU it costs next to nothing to know.
        is_full = x.device.type == "cpu" and not torch.compiler.is_compiling() and bool(mask.all())
        return out if is_full else out * mask.to(x.dtype)

    def triton(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None, *, slope: float = 1.0) -> Tensor:
        """leaky_relu(conv * mask, slope) by the GPU kernel. Shapes as in `forward`."""
        packed = self.packed(pack_weights, x.dtype)
        return triton_conv(x, coarse, mask, packed, self.bias.detach().to(x.dtype), slope=slope)

    def __getstate__(self) -> dict:
        """For copies and pickles: without what is made of the weights."""
        return super().__getstate__() | {"_packed": {}}

    def packed(self, pack: Callable[[Tensor, int, torch.dtype], Any], dtype: torch.dtype) -> Any:
        """`pack(weight, fine_channels, dtype)`; made once, and again when the weights have changed."""
        weight = self.weight.detach()
        # Changes through `.data` leave no version: hence the hash, which takes 4 ms for all weights of `base`. On a GPU
        # it would make the host wait.
        changes = torch.hash_tensor(weight).item() if weight.device.type == "cpu" else None
        version = None if self.weight.is_inference() else self.weight._version
        key = (dtype, weight.dtype, weight.device, weight.data_ptr(), version, changes)
        if pack not in self._packed or self._packed[pack][0] != key:
            self._packed[pack] = key, pack(weight.float(), self.fine_channels, dtype)
        return self._packed[pack][1]
