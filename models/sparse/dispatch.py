"""Choose the way to compute a sparse convolution."""

import torch
from torch import Tensor

from . import triton_kernels
from .costs import gathering, processor

METHODS = ("auto", "folded", "gather", "masked", "triton")
#: The formulas behind the methods. "windows" and "winograd" are the two ways of "gather".
WAYS = ("folded", "masked", "triton", "windows", "winograd")
LARGEST = 2**30  # bytes of a level's output; larger ones are gathered in pieces, so that 4K fits into 8 GiB
WITHOUT_GRADIENTS = ("gather", "triton", "windows", "winograd")


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
