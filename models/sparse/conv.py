"""The sparse convolution: its meaning, the choice among the ways to compute it, and a level of WS-Net, which has two.

A level makes features on the halo, and from them the head's output on the mask. The halo is the mask dilated by one
pixel, which is all that the head's 3x3 convolution reads.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import triton_kernels
from .costs import gathering, processor
from .tile_maps import Rows, Tiles
from .tiles import TileHead, pack_kernel, pack_windows, tile_conv
from .transforms import FoldedConv, conv_of_upsampled, gradient_pays, pack_folded
from .triton_kernels import pack_weights, triton_conv

GATHERING = {"windows": pack_windows, "winograd": pack_kernel}  # ways on tiles, with the functions that pack weights
METHODS = ("auto", "folded", "gather", "masked", "triton")
#: The formulas behind the methods. "windows" and "winograd" are the two ways of "gather".
WAYS = ("folded", "masked", "triton", "windows", "winograd")
LARGEST = 2**30  # bytes of a level's output; larger ones are gathered in pieces, so that 4K fits into 8 GiB
WITHOUT_GRADIENTS = ("gather", "triton", "windows", "winograd")


class SparseConv2d(nn.Conv2d):
    """A 3x3 convolution that is needed only where a mask is 1. It means `conv(cat(x, nearest x2 of coarse)) * mask`.

    The mask multiplies after the bias, so inactive pixels are exactly 0. `method` chooses how the result is computed.
    All results are equal up to the order of summation:

    - "masked" computes all pixels by the formula above, like the published code.
    - "folded" computes all pixels without upsampling (`transforms.py`).
    - "gather" computes the active tiles alone, in one of two ways (`tiles.py`), without gradients.
    - "triton" computes the active pixels alone, on a CUDA GPU (`triton_kernels.py`), without gradients.
    - "auto" chooses one of these by density and processor (`choose`, `costs.py`). It is the default.

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
        """Choose the way, one of `WAYS`, for a mask (B, 1, h, w). No other place decides."""
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
            packed = self.packed(pack_weights, x.dtype)
            return triton_conv(x, coarse, mask, packed, self.bias.detach().to(x.dtype), slope=slope)
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
        if coarse is not None and gradient_pays(self.weight, x):
            out = cast(Tensor, FoldedConv.apply(x, coarse, self.weight, self.bias))
        else:
            out = F.conv2d(x, self.weight[:, : self.fine_channels], self.bias, padding=1)
            if coarse is not None:
                keeps = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
                kernel = self.packed(pack_folded, x.dtype) if keeps else pack_folded(self.weight, self.fine_channels)
                out.add_(conv_of_upsampled(coarse, kernel))
        # A full mask changes nothing. On a CPU, it takes almost no time to find out.
        is_plain = x.device.type != "cpu" or torch.compiler.is_compiling()
        if not is_plain and mask.all():
            return out
        return out * mask.to(x.dtype) if is_plain or torch.is_grad_enabled() else clear_outside(out, mask)

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


def clear_outside(image: Tensor, mask: Tensor) -> Tensor:
    """Set an image (B, C, h, w) to 0 in place where a mask (B, 1, h, w) is 0, and return it."""
    if image.dtype == torch.float32 or not image.is_contiguous(memory_format=torch.channels_last):
        return image.mul_(mask.to(image.dtype))
    # On a CPU, a product of a half-precision image and a mask takes three times as long as this.
    pixels = (mask.flatten() == 0).nonzero()[:, 0]
    image.permute(0, 2, 3, 1).view(-1, image.shape[1]).index_fill_(0, pixels, 0)
    return image


def choose(method: str, mask: Tensor, dtype: torch.dtype, width: int) -> str:
    """Return the way, one of `WAYS`, to compute a level.

    "auto" takes the way that is estimated to be the fastest on this kind of CPU, see `costs.py`. It takes "folded" if
    gradients are recorded. On CUDA it takes the kernel at any density, because its speed has not been measured.

    Args:
        method: one of `METHODS`, or a way.
        mask: (B, 1, h, w) in {0, 1}.
        dtype: type of the features.
        width: output channels of the level.
    Raises:
        RuntimeError: gradients are recorded, and the method has none.
    """
    if method in WITHOUT_GRADIENTS and torch.is_grad_enabled():
        raise RuntimeError(
            f"sparse={method!r} has no gradients; use torch.no_grad() or model.interpolate(), or sparse='auto' to train"
        )
    if method in WAYS:
        return method
    if method == "auto" and (torch.is_grad_enabled() or torch.compiler.is_compiling()):
        return "folded"
    if method == "auto" and mask.device.type != "cpu":
        return "triton" if triton_kernels.is_available(mask.device) else "folded"
    kind = processor() if mask.device.type == "cpu" else mask.device.type
    time, way = gathering(mask.mean().item(), dtype, width, kind)
    is_small = mask.numel() * width * dtype.itemsize <= LARGEST
    return "folded" if method == "auto" and time >= 1 and is_small else way


class Context(Protocol):
    """An input that is computed where it is needed: everywhere, or on the pixels around tiles."""

    dtype: torch.dtype

    @property
    def dense(self) -> Tensor:
        """The input of all pixels, (B, C, h, w)."""

    def rows(self, tiles: Tiles) -> Rows:
        """Return the input of the pixels that a 3x3 kernel on the tiles reads."""


class Level(NamedTuple):
    """The results of a level.

    features: (B, C, h, w), exactly 0 outside the halo; None if they are not kept.
    head: (B, C_head, h, w), exactly 0 outside the mask.
    executed: (B,) multiply-accumulates that were computed, per pixel of the level.
    """

    features: Tensor | Rows | None
    head: Tensor
    executed: Tensor


def sparse_level(
    conv: SparseConv2d,
    head: SparseConv2d,
    context: Context,
    coarse: Tensor | Rows,
    mask: Tensor,
    halo: Tensor,
    *,
    slope: float,
    keep: bool,
) -> Level:
    """Compute features = leaky_relu(conv(context, nearest x2 of coarse) * halo), and head(features) * mask.

    Args:
        conv, head: the two convolutions of the level.
        context: the fine input.
        coarse: features of the next coarser level, (B, C', h/2, w/2).
        mask: (B, 1, h, w) in {0, 1}.
        halo: (B, 1, h, w) in {0, 1}, `mask` dilated 3x3.
        slope: slope of the LeakyReLU.
        keep: True to return the features.
    """
    way = conv.way(halo, context.dtype)
    if way in GATHERING:
        tiles = Tiles.covering(halo)
        coarse = coarse if isinstance(coarse, Rows) else Rows.of(coarse)
        outputs = TileHead(head.weight.to(context.dtype), head.bias.to(context.dtype), tiles)
        rows = conv.on_tiles(way, context.rows(tiles), coarse, tiles, slope=slope, head=outputs, keep=keep)
        return Level(rows, outputs.finish(mask), tiles.share() * (conv.products(way) + outputs.products))
    coarse = coarse.dense() if isinstance(coarse, Rows) else coarse
    # The head's active pixels read nothing outside the halo, so features that are not kept need no zeros there.
    limit = halo if keep or way != "folded" else torch.ones_like(halo)
    features = conv.everywhere(way, context.dense, limit, coarse, slope=slope)
    # Only the kernel for GPUs leaves the inactive pixels out.
    shares = [m.mean((1, 2, 3)) if way == "triton" else torch.ones_like(m[:, 0, 0, 0]) for m in (halo, mask)]
    executed = shares[0] * conv.products(way) + shares[1] * head.products(way)
    return Level(features if keep else None, head.everywhere(way, features, mask), executed)
