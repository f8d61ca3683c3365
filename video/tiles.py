"""Frames larger than memory: overlapping tiles, blended where they overlap, so that no seam shows."""

from collections.abc import Callable

import torch
from torch import Tensor

SMALLEST = 128  # pixels; motion beyond the overlap, a quarter of a tile, is not seen


def in_tiles(run: Callable[[Tensor, Tensor], Tensor], img0: Tensor, img1: Tensor, tile: int) -> Tensor:
    """`run(img0, img1)`, computed on squares of `tile` pixels that overlap by a quarter.

    Args:
        run: from two (1, 3, h, w) to one. img0, img1: (1, 3, H, W).
    Returns:
        (1, 3, H, W): where tiles overlap, they are weighted by the distance from their borders.
    """
    height, width = img0.shape[-2:]
    if max(height, width) <= tile:
        return run(img0, img1)
    total, weights = torch.zeros_like(img0), torch.zeros_like(img0[:, :1])
    for top in _starts(height, tile):
        for left in _starts(width, tile):
            part = (..., slice(top, top + tile), slice(left, left + tile))
            made = run(img0[part], img1[part])
            weight = _ramp(made.shape[-2], tile, made)[:, None] * _ramp(made.shape[-1], tile, made)
            total[part] += made * weight
            weights[part] += weight
    return total / weights


def _starts(size: int, tile: int) -> list[int]:
    """Where tiles begin: evenly spaced, the last one ending with the frame."""
    if size <= tile:
        return [0]
    step = tile - tile // 4
    count = -(-(size - tile) // step)
    return [(size - tile) * k // count for k in range(count + 1)]


def _ramp(size: int, tile: int, like: Tensor) -> Tensor:
    """(size,) weights, growing from both ends to 1 over the overlap."""
    place = torch.arange(1, size + 1, device=like.device, dtype=like.dtype)
    return torch.minimum(place, size + 1 - place).clamp(max=tile // 4) / (tile // 4)
