"""Sample feature maps bilinearly on a CPU, faster than `grid_sample`.

A map that is channels last in memory is a matrix with one row per pixel. A bilinear sample is a weighted sum of four
rows, which `embedding_bag` computes in half or a third of the time of `grid_sample`, in float32 and bfloat16. Nothing
here is differentiable.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16)
LEAST_CHANNELS = 8  # with fewer channels, a row is shorter than a register, and `grid_sample` is faster


def pays(image: Tensor) -> bool:
    """Return True if `warp` is faster than `grid_sample` for `image` (B, C, H, W), and no gradients are recorded."""
    is_plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or image.device.type != "cpu"
    if is_plain or image.dtype not in DTYPES or image.shape[1] < LEAST_CHANNELS:
        return False
    return image.is_contiguous(memory_format=torch.channels_last)


def as_rows(image: Tensor) -> Tensor:
    """Return (B, C, h, w) as rows (B * h * w, C); a view if the image is channels last in memory."""
    return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])


def corners(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return the four neighbours of every position that a flow points to, and their weights.

    Args:
        flow: (B, 2, h, w), channels (dx, dy), in pixels.
    Returns:
        rows: (B * h * w, 4) int32, row numbers of the neighbours, see `as_rows`.
        weights: (B * h * w, 4) float32, which sum to 1.
    """
    batch, _, height, width = flow.shape
    x = torch.arange(width, device=flow.device, dtype=torch.float32)
    y = torch.arange(height, device=flow.device, dtype=torch.float32)[:, None]
    x = (flow[:, 0] + x).clamp_(0, width - 1).nan_to_num_(0)  # a row number cannot be NaN
    y = (flow[:, 1] + y).clamp_(0, height - 1).nan_to_num_(0)
    # On the last row and column, the base is one pixel further inside, so that all four neighbours exist.
    left, top = x.floor().clamp_(max=max(width - 2, 0)), y.floor().clamp_(max=max(height - 2, 0))
    x, y = x.sub_(left), y.sub_(top)
    sample = torch.arange(batch, device=flow.device, dtype=torch.int32).view(-1, 1, 1)
    first = top.int().add_(sample * height).mul_(width).add_(left.int())
    right, down = min(1, width - 1), width * min(1, height - 1)
    rows, weights = first.new_empty(*first.shape, 4), x.new_empty(*x.shape, 4)
    for corner, step in enumerate((0, right, down, down + right)):
        torch.add(first, step, out=rows[..., corner])
    both = torch.mul(x, y, out=weights[..., 3])
    torch.sub(y, both, out=weights[..., 2])
    torch.sub(x, both, out=weights[..., 1])
    torch.sub(1 - x, weights[..., 2], out=weights[..., 0])
    return rows.view(-1, 4), weights.view(-1, 4)


def weighted_rows(image: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return (n, C): sums of four `rows` (n, 4) of an image (B, C, h, w), weighted by `weights` (n, 4)."""
    return F.embedding_bag(rows, as_rows(image), per_sample_weights=weights.to(image.dtype), mode="sum")


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Compute `backward_warp` of an image that is channels last in memory. The result is channels last, too."""
    batch, channels, height, width = image.shape
    warped = weighted_rows(image, *corners(flow))
    return warped.view(batch, height, width, channels).permute(0, 3, 1, 2)
