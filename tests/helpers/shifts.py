"""Images that move by whole pixels."""

import torch
from torch import Tensor


def shifted(image: Tensor, dx: int, dy: int) -> Tensor:
    """(..., H, W) moved by (dx, dy); what leaves on one side comes in on the other."""
    return torch.roll(image, (dy, dx), (-2, -1))
