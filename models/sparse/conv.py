"""The sparse convolution: its meaning, and the ways to compute it."""

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import gradient
from .dispatch import choose
from .phases import conv_of_upsampled, pack_folded
from .tile_maps import Rows, Tiles
from .tiles import pack_kernel, pack_windows, tile_conv
from .triton_kernels import pack_weights, triton_conv

GATHERING = {"windows": pack_windows, "winograd": pack_kernel}  # ways on tiles, with the functions that pack weights


class SparseConv2d(nn.Conv2d):
    """A 3x3 convolution that is needed only where a mask is 1. It means `conv(cat(x, nearest x2 of coarse)) * mask`.

    The mask multiplies after the bias, so inactive pixels are exactly 0. `method` chooses how the result is computed.
    All results are equal up to the order of summation:

    - "masked" computes all pixels by the formula above, like the published code.
    - "folded" computes all pixels without upsampling (`phases.py`).
    - "gather" computes the active tiles alone, in one of two ways (`tiles.py`), without gradients.
    - "triton" computes the active pixels alone, on a CUDA GPU (`triton_kernels.py`), without gradients.
    - "auto" chooses one of these by density and processor (`dispatch.py`, `costs.py`). It is the default.

    Args:
        in_channels: channels of x, the fine input.
        out_channels: channels of the result.
        coarse_channels: channels of the coarse input, which has half the size; 0: there is none.
    """

    bias: Tensor

    def __init__(self, in_channels: int, out_channels: int, *, coarse_channels: int = 0):
        super().__init__(in_channels + coarse_channels, out_channels, kernel_size=3, padding=1)
        self.fine_channels = in_channels
        self.method = "auto"
        self._packed: dict[Callable, tuple[tuple, Any]] = {}

    def way(self, mask: Tensor, dtype: torch.dtype) -> str:
        """Choose the way, one of `dispatch.WAYS`, for a mask (B, 1, h, w). No other place decides."""
        return choose(self.method, mask, dtype, self.out_channels)

    def forward(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Convolve.

        Args:
            x: (B, C, H, W).
            mask: (B, 1, H, W) in {0, 1}.
            coarse: (B, C', H/2, W/2), or None if `coarse_channels` is 0.
        Returns:
            (B, C_out, H, W), exactly 0 where the mask is 0.
        """
        way = self.way(mask, x.dtype)
        if way not in GATHERING:
            return self.everywhere(way, x, mask, coarse)
        coarse_rows = None if coarse is None else Rows.of(coarse)
        rows = self.on_tiles(way, Rows.of(x), coarse_rows, Tiles.covering(mask))
        return cast(Rows, rows).dense() * mask.to(x.dtype)

    def everywhere(
        self, way: str, x: Tensor, mask: Tensor, coarse: Tensor | None = None, *, slope: float = 1.0
    ) -> Tensor:
        """Compute leaky_relu(conv * mask, slope) by a way that takes whole maps. Shapes are as in `forward`."""
        if way == "triton":
            return self.triton(x, mask, coarse, slope=slope)
        out = self.masked(x, mask, coarse) if way == "masked" else self.folded(x, mask, coarse)
        return out if slope == 1 else F.leaky_relu(out, slope, inplace=True)

    def on_tiles(self, way: str, x: Rows, coarse: Rows | None, tiles: Tiles, **options: Any) -> Rows | None:
        """Compute the convolution on the tiles alone, by a way of `GATHERING`. `options` are those of `tile_conv`."""
        kernel = self.packed(GATHERING[way], x.values.dtype)
        return tile_conv(kernel, self.bias, x, coarse, tiles, **options)

    def masked(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:
        """Compute the convolution by its definition. Shapes are as in `forward`."""
        parts = [x] if coarse is None else [x, F.interpolate(coarse, scale_factor=2, mode="nearest")]
        return super().forward(torch.cat(parts, dim=1)) * mask.to(x.dtype)

    def products(self, way: str) -> float:
        """Return the multiply-accumulates per computed pixel."""
        of_ways = {"masked": (9, 9), "folded": (9, 4), "triton": (9, 4), "windows": (16, 4), "winograd": (4, 9 / 4)}
        fine, coarse = of_ways[way]
        return (fine * self.fine_channels + coarse * (self.in_channels - self.fine_channels)) * self.out_channels

    def folded(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:
        """Compute the same without upsampling the coarse input. Shapes are as in `forward`."""
        if coarse is not None and gradient.pays(self.weight, x):
            out = cast(Tensor, gradient.FoldedConv.apply(x, coarse, self.weight, self.bias))
        else:
            out = F.conv2d(x, self.weight[:, : self.fine_channels], self.bias, padding=1)
            if coarse is not None:
                keeps = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
                kernel = self.packed(pack_folded, x.dtype) if keeps else pack_folded(self.weight, self.fine_channels)
                out.add_(conv_of_upsampled(coarse, kernel))
        # A full mask changes nothing. On a CPU, it takes almost no time to find out.
        is_full = x.device.type == "cpu" and not torch.compiler.is_compiling() and bool(mask.all())
        if is_full:
            return out
        is_plain = torch.is_grad_enabled() or torch.compiler.is_compiling()
        return out * mask.to(x.dtype) if is_plain else out.mul_(mask.to(x.dtype))

    def triton(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None, *, slope: float = 1.0) -> Tensor:
        """Compute leaky_relu(conv * mask, slope) by the GPU kernel. Shapes are as in `forward`."""
        packed = self.packed(pack_weights, x.dtype)
        return triton_conv(x, coarse, mask, packed, self.bias.detach().to(x.dtype), slope=slope)

    def __getstate__(self) -> dict:
        """Return the state for copies and pickles, without packed weights."""
        return super().__getstate__() | {"_packed": {}}

    def packed(self, pack: Callable[[Tensor, int, torch.dtype], Any], dtype: torch.dtype) -> Any:
        """Return `pack(weight, fine_channels, dtype)`. It is kept until the weights change."""
        weight = self.weight.detach()
        # Changes through `.data` do not change the version, so the weights are hashed. That takes 4 ms for all weights
        # of `base`. On a GPU, the host would have to wait for the hash.
        changes = torch.hash_tensor(weight).item() if weight.device.type == "cpu" else None
        version = None if self.weight.is_inference() else self.weight._version
        key = (dtype, weight.dtype, weight.device, weight.data_ptr(), version, changes)
        if pack not in self._packed or self._packed[pack][0] != key:
            self._packed[pack] = key, pack(weight.float(), self.fine_channels, dtype)
        return self._packed[pack][1]
