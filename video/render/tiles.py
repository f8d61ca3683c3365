"""Find the part of two frames that must be computed, and compute it in tiles to save memory.

The part is what lies inside the border that both frames share. Tiles overlap and are blended, so that no seam shows.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SMALLEST = 128  # smallest side of a tile in pixels
OVERLAP = 8  # tiles overlap by 1/8 of their side; larger motion across a border is not seen
MULTIPLE = 16  # sides of tiles are multiples of this, as the network would pad them otherwise


def find_inside(img0: Tensor, img1: Tensor) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right (ends excluded) of two different (1, 3, H, W) without their common border.

    The border consists of the outer rows and columns that have one colour and are the same in both frames.
    """
    (top, bottom), (left, right) = _inner(img0[0], img1[0]), _inner(img0[0].mT, img1[0].mT)
    return top, bottom, left, right


def _inner(image0: Tensor, image1: Tensor) -> tuple[int, int]:
    """Return the first row of two different (3, rows, columns) inside the border, and the row after the last one."""
    before, after = (_count_border(image0, image1, from_end=from_end) for from_end in (False, True))
    return before, image0.shape[1] - after


def _count_border(image0: Tensor, image1: Tensor, *, from_end: bool) -> int:
    """Count the border rows of two different (3, rows, columns), from the first row on or from the last one."""
    rows, count, size = image0.shape[1], 0, 1
    while True:
        size = min(size, rows - count)
        start = rows - count - size if from_end else count
        part0, part1 = image0.narrow(1, start, size), image1.narrow(1, start, size)
        is_border = ((part0 == part1) & (part0 == part0[..., :1])).all(2).all(0).tolist()
        if not all(is_border):
            return count + (is_border[::-1] if from_end else is_border).index(False)
        count, size = count + size, 2 * size  # most frames have no border, which one row shows


def in_tiles(run: Callable[[Tensor, Tensor], Tensor], img0: Tensor, img1: Tensor, tile: int) -> Tensor:
    """Compute `run(img0, img1)` on overlapping rectangles whose sides are at most `tile` pixels.

    Args:
        run: makes a frame (1, 3, h, w) from two.
        img0, img1: (1, 3, H, W).
        tile: largest side of a tile in pixels.
    Returns:
        (1, 3, H, W). Overlapping tiles are weighted by the distance from their borders.
    """
    height, width = img0.shape[-2:]
    if max(height, width) <= tile:
        return run(img0, img1)
    overlap = tile // OVERLAP
    total, weights = torch.zeros_like(img0), torch.zeros_like(img0[:, :1])
    for rows in _cover(height, tile, overlap):
        for columns in _cover(width, tile, overlap):
            made = run(img0[..., rows, columns], img1[..., rows, columns])
            ramps = (_ramp(size, overlap, made) for size in made.shape[-2:])
            weight = torch.outer(*ramps)
            total[..., rows, columns] += made * weight
            weights[..., rows, columns] += weight
    return total / weights


def _cover(size: int, tile: int, overlap: int) -> list[slice]:
    """Return the fewest equal pieces of at most `tile` that cover `size` with that overlap, evenly spaced."""
    if size <= tile:
        return [slice(0, size)]
    count = -(-(size - overlap) // (tile - overlap))
    length = -(-(size + (count - 1) * overlap) // count)
    length = min(-(-length // MULTIPLE) * MULTIPLE, tile)
    starts = ((size - length) * k // (count - 1) for k in range(count))
    return [slice(start, start + length) for start in starts]


def _ramp(size: int, overlap: int, like: Tensor) -> Tensor:
    """Return (size,) weights that grow from both ends to 1 over the overlap."""
    place = torch.arange(1, size + 1, device=like.device, dtype=like.dtype)
    return torch.minimum(place, size + 1 - place).clamp(max=overlap) / overlap
