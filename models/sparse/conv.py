"""What a sparse convolution means."""

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

GATHERING = {"windows": pack_windows, "winograd": pack_kernel}  # ways on tiles, and what packs their weights


class SparseConv2d(nn.Conv2d):
    """3x3 convolution that is only wanted where a mask is 1: it *means* `conv(cat(x, nearest x2 of coarse)) * mask`.

    The mask multiplies after the bias, so inactive pixels are exactly 0. `method` says how it is computed; results are
    equal:
        "masked": as it is written above, like the published code.
        "folded": everywhere, without upsampling (`phases.py`).
        "gather": on the active tiles alone, by one of two ways (`tiles.py`), without gradients.
        "triton": on the active pixels alone, on a CUDA GPU (`triton_kernels.py`), without gradients.
        "auto": one of these, by density and processor (`choose.py`, `costs.py`). The default.
    """

    bias: Tensor

    def __init__(self, in_channels: int, out_channels: int, *, coarse_channels: int = 0):
        super().__init__(in_channels + coarse_channels, out_channels, kernel_size=3, padding=1)
        self.fine_channels = in_channels
        self.method = "auto"
        self._packed: dict[Callable, tuple[tuple, Any]] = {}

    def way(self, mask: Tensor, dtype: torch.dtype) -> str:
        """Decide how to compute where `mask` (B, 1, h, w) is 1: one of `choose.WAYS`. The only place that decides."""
        return choose(self.method, mask, dtype, self.out_channels)

    def forward(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """x: (B, C, H, W); mask: (B, 1, H, W) in {0, 1}; coarse: (B, C', H/2, W/2) -> (B, C_out, H, W)."""
        way = self.way(mask, x.dtype)
        if way not in GATHERING:
            return self.everywhere(way, x, mask, coarse)
        coarse_rows = None if coarse is None else Rows.of(coarse)
        rows = self.on_tiles(way, Rows.of(x), coarse_rows, Tiles.covering(mask))
        return cast(Rows, rows).dense() * mask.to(x.dtype)

    def everywhere(
        self, way: str, x: Tensor, mask: Tensor, coarse: Tensor | None = None, *, slope: float = 1.0
    ) -> Tensor:
        """leaky_relu(conv * mask, slope) of whole maps, by one of the ways that take them. Shapes as in `forward`."""
        if way == "triton":
            return self.triton(x, mask, coarse, slope=slope)
        out = self.masked(x, mask, coarse) if way == "masked" else self.folded(x, mask, coarse)
        return out if slope == 1 else F.leaky_relu(out, slope, inplace=True)

    def on_tiles(self, way: str, x: Rows, coarse: Rows | None, tiles: Tiles, **options: Any) -> Rows | None:
        """The convolution on the tiles alone, by a way of `GATHERING`. options: of `tile_conv`."""
        kernel = self.packed(GATHERING[way], x.values.dtype)
        return tile_conv(kernel, self.bias, x, coarse, tiles, **options)

    def masked(self, x: Tensor, mask: Tensor, coarse: Tensor | None = None) -> Tensor:
        """The meaning. Shapes as in `forward`."""
        parts = [x] if coarse is None else [x, F.interpolate(coarse, scale_factor=2, mode="nearest")]
        return super().forward(torch.cat(parts, dim=1)) * mask.to(x.dtype)

    def products(self, way: str) -> float:
        """Multiply-accumulates per pixel that is computed."""
        of_ways = {"masked": (9, 9), "folded": (9, 4), "triton": (9, 4), "windows": (16, 4), "winograd": (4, 9 / 4)}
        fine, coarse = of_ways[way]
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
        if is_full:
            return out
        is_plain = torch.is_grad_enabled() or torch.compiler.is_compiling()
        return out * mask.to(x.dtype) if is_plain else out.mul_(mask.to(x.dtype))

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
