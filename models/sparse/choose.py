"""Which way to compute a sparse convolution."""

import torch
from torch import Tensor

from . import triton_kernels

METHODS = ("auto", "folded", "gather", "masked", "triton")
WITHOUT_GRADIENTS = ("gather", "triton")


# With few channels, the additions of the tiles' transforms weigh more than the products that they save.
# Measured with `small` (72 to 216 channels) and `base` (216 to 648) on a CPU with AVX-512 bf16.
NARROW = 200  # output channels
NARROW_ACTIVE = {torch.float32: 0.9, torch.bfloat16: 0.5}  # active fraction above which folding is faster


def choose(method: str, mask: Tensor, dtype: torch.dtype, width: int) -> str:
    """The method for a level with this mask (B, 1, h, w) and `width` outputs; `method` itself unless it is "auto".

    Raises:
        RuntimeError: gradients are recorded, and the method has none.
    """
    if method in WITHOUT_GRADIENTS and torch.is_grad_enabled():
        raise RuntimeError(
            f"sparse={method!r} has no gradients; use torch.no_grad() or model.interpolate(), or sparse='auto' to train"
        )
    if method != "auto":
        return method
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return "folded"
    if mask.device.type == "cpu":
        is_folded = width < NARROW and mask.mean() > NARROW_ACTIVE.get(dtype, 1)
        return "folded" if is_folded else "gather"
    return "triton" if triton_kernels.is_available(mask.device) else "folded"
