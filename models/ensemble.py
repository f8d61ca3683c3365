"""Average two predictions of one frame: of the pair, and of the pair in reverse, seen in a mirror.

The network is not symmetric, so the two make different errors, and their mean makes smaller ones. The paper has
no such step. Of `small`, `python benchmark/Vimeo90K.py --data_root VAL --ensemble` gives 32.940 dB, without it 32.819.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

Make = Callable[[Tensor, Tensor, Any], Tensor]  # of img0, img1 and the time


def mirror(image: Tensor) -> Tensor:
    """Flip (B, C, H, W) from left to right."""
    return image.flip(-1)


def average_with_mirrored(
    make: Make,
    img0: Tensor,
    img1: Tensor,
    t: float | Tensor | None,
    *,
    mirror: Callable[[Tensor], Tensor] = mirror,
) -> Tensor:
    """Return the mean of make(img0, img1, t) and of make(mirrored img1, mirrored img0, 1 - t), mirrored back.

    The mean is symmetric, whatever `make` does: for the pair in reverse, seen in a mirror, it is the mirrored frame.

    Args:
        make: makes the frame (B, 3, H, W) at time t of two.
        img0, img1: (B, 3, H, W).
        t: time of the frame, a number or (B,); None: the middle.
        mirror: flips an image from left to right. One that returns the same tensor for the same image lets `make`
            keep features of it.
    """
    frame = make(img0, img1, t)
    reverse = make(mirror(img1), mirror(img0), None if t is None else 1 - t)
    return (frame + reverse.flip(-1)) / 2
