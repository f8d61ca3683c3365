"""Look at a pair of frames before the network does: find what it need not compute, and split the rest into tiles.

The border that both frames share is copied. Tiles save memory; they overlap and are blended, so that no seam shows.

Where nothing moves, the frame between is the mix of both, which costs nothing and is nearer to the truth than the
network's frame. Mean PSNR in dB of 8, 8 and 7 frames of made clips (640x360, H.264), every second frame left out, the
weights of run 25 in checkpoints/TRAINING.md:

    clip                                     network    mix
    a still picture that fades to black      44.6       48.5
    a title card that fades in               51.8       68.9
    a still picture with noise               50.3       52.4

No pair of the validation triplets is one. A moving picture is mixed, too, where one frame of a pair is black.

Where something moves, the network gets both frames at the brightness of the brighter one, and its frame gets the
brightness of its time. Mean PSNR in dB of clips that move (640x360, 8 frames made of 17, in bf16, weights of run 29),
faded from 0.2 to full brightness by a gain in each frame:

    clip             network    mix      made here
    examples/bird    40.6       41.2     43.1
    shuttle          47.1       43.6     50.0
    highway2         30.1       27.1     30.9
    butterfly        27.5       24.1     27.5
    bee              26.5       24.4     26.4

Single pairs of these and of fades to black are 1.7 dB worse than their mix at most (7.6 dB by the network alone).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK, STILL = 16, 3 / 255  # pixels; root of the mean square that noise and compression leave in a block of a still
STEP = 8  # pixels between those that are looked at first
EVERY = 4  # rows between those that tell the mean of a block
UNEXPLAINED = 0.5  # the share of the difference that a fade may leave
DARKEST = 1 / 32  # the smallest gain; below, too few levels of grey are left to be brightened
SMALLEST = 128  # smallest side of a tile in pixels
OVERLAP = 8  # tiles overlap by 1/8 of their side; larger motion across a border is not seen
MULTIPLE = 16  # sides of tiles are multiples of this, as the network would pad them otherwise


class Fade(NamedTuple):
    """A change of brightness from a bright frame to a dark one: `gain * (frame - bright) + dark`.

    gain: at most 1.
    bright, dark: (1, 3, 1, 1), mean colours of the two frames.
    is_first: True if the dark frame is the first of the pair.
    """

    gain: float
    bright: Tensor
    dark: Tensor
    is_first: bool

    def brighten(self, image: Tensor) -> Tensor:
        """Return the dark frame (1, 3, H, W) at the brightness of the other one."""
        return ((image - self.dark) / self.gain + self.bright).clamp(0, 1)

    def darken(self, image: Tensor, t: float) -> Tensor:
        """Return a frame (1, 3, H, W) of the bright frame's brightness at that of time t between both."""
        share = 1 - t if self.is_first else t  # of the dark frame
        gain, mean = 1 + share * (self.gain - 1), torch.lerp(self.bright, self.dark, share)
        return ((image - self.bright) * gain + mean).clamp(0, 1)


def find_fade(img0: Tensor, img1: Tensor) -> Fade | None:
    """Return the change of brightness between two frames (1, 3, H, W), if that is most of what differs between them.

    Mean and contrast are compared, which motion hardly changes. They explain the pair if the rest, over the means of
    blocks of 16x16 pixels, is at most half of the difference and half of the dark frame's contrast.
    """
    if min(img0.shape[-2:]) < BLOCK:
        return None
    blocks = [_block_means(image) for image in (img0, img1)]
    means = [block.mean((2, 3), keepdim=True) for block in blocks]
    contrasts = [block - mean for block, mean in zip(blocks, means, strict=True)]
    norms = [float(contrast.norm()) for contrast in contrasts]
    dark = int(norms[1] < norms[0])  # the number of the dark frame
    gain = norms[dark] / norms[1 - dark] if norms[1 - dark] else 0.0
    rest = contrasts[dark] - gain * contrasts[1 - dark]
    if gain < DARKEST or rest.norm() > UNEXPLAINED * min((blocks[0] - blocks[1]).norm(), contrasts[dark].norm()):
        return None
    return Fade(gain, means[1 - dark], means[dark], is_first=dark == 0)


def is_still(img0: Tensor, img1: Tensor) -> bool:
    """Return True if one frame (1, 3, H, W) is the other one with another gain, and another offset of each channel.

    In no block of 16x16 pixels, the rest may be above 3 of 255. The darker frame is explained by the brighter one:
    nothing can be told from black. Frames smaller than a block are left to the network.
    """
    if min(img0.shape[-2:]) < BLOCK:
        return False
    few = _rest(*(image[..., ::STEP, ::STEP].contiguous() for image in (img0, img1)))
    if few.mean() > STILL**2:  # most pairs end here
        return False
    # A little motion shows where the few pixels differ most. If no gain and offset explain that block, none do.
    row, column = (int(few.amax((1, axis)).argmax()) * STEP // BLOCK * BLOCK for axis in (3, 2))
    block = (image[..., row : row + BLOCK, column : column + BLOCK] for image in (img0, img1))
    if _rest(*block).mean() > STILL**2:
        return False
    rest = _rest(img0.contiguous(), img1.contiguous())  # decoded frames are channels last, which is slower
    return bool(F.avg_pool2d(rest, BLOCK, ceil_mode=True).max() <= STILL**2)


def find_inside(img0: Tensor, img1: Tensor) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right (ends excluded) of two different (1, 3, H, W) without their common border.

    The border consists of the outer rows and columns that have one colour and are the same in both frames.
    """
    (top, bottom), (left, right) = _inner(img0[0], img1[0]), _inner(img0[0].mT, img1[0].mT)
    return top, bottom, left, right


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


def _block_means(image: Tensor) -> Tensor:
    """Return the means of whole blocks of 16x16 pixels, by every fourth row, (1, 3, H // 16, W // 16)."""
    height, width = (side // BLOCK for side in image.shape[-2:])
    # Whole rows are added first. On a CPU, pooling takes three times as long.
    rows = image[..., : height * BLOCK, : width * BLOCK].unflatten(-2, (height, BLOCK))[..., ::EVERY, :].sum(-2)
    return rows.unflatten(-1, (width, BLOCK)).sum(-1) * (EVERY / BLOCK**2)


def _rest(img0: Tensor, img1: Tensor) -> Tensor:
    """Return (1, 1, H, W), the mean square over channels that no gain and offset explain."""
    weak, strong = sorted((image - image.mean((2, 3), keepdim=True) for image in (img0, img1)), key=torch.norm)
    gain = (weak * strong).sum() / strong.square().sum().clamp(min=torch.finfo(strong.dtype).tiny)
    return (weak - gain * strong).square().mean(1, keepdim=True)


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
