"""Which way to compute a sparse convolution."""

import torch
from torch import Tensor

from . import triton_kernels

METHODS = ("auto", "folded", "gather", "masked", "triton")
WITHOUT_GRADIENTS = ("gather", "triton")


def choose(method: str, mask: Tensor) -> str:
    """The method for a level with this mask (B, 1, h, w); `method` itself unless it is "auto".

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
        return "gather"
    return "triton" if triton_kernels.is_available(mask.device) else "folded"
