"""Which way to compute a sparse convolution."""

import torch
from torch import Tensor

METHODS = ("auto", "folded", "gather", "masked")
BREAK_EVEN = {torch.float32: 1.1, torch.bfloat16: 1.1}


def choose(method: str, mask: Tensor) -> str:
    """The method for a level with this mask (B, 1, h, w); `method` itself unless it is "auto"."""
    if method != "auto":
        return method
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or mask.device.type != "cpu":
        return "folded"
    return "gather" if mask.mean() < 1.1 else "folded"
