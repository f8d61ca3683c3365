"""Find pairs of frames in which nothing moves, though their brightness may change: fades, title cards, still pictures.

The frame between two such is their mix, which costs nothing and is nearer to the truth than the network's frame. Mean
PSNR in dB of 8, 8 and 7 frames of made clips (640x360, H.264), every second frame left out,
the weights of run 25 in checkpoints/TRAINING.md:

    clip                                     network    mix
    a still picture that fades to black      44.6       48.5
    a title card that fades in               51.8       68.9
    a still picture with noise               50.3       52.4

No pair of the validation triplets is one. A moving picture is mixed, too, where one frame of a pair is black.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK, STILL = 16, 3 / 255  # pixels; root of the mean square that noise and compression leave in a block of a still
STEP = 8  # pixels between those that are looked at first


def is_still(img0: Tensor, img1: Tensor) -> bool:
    """Return True if one frame (1, 3, H, W) is the other one with another gain, and another offset of each channel.

    In no block of 16x16 pixels, the rest may be above 3 of 255. The darker frame is explained by the brighter one:
    nothing can be told from black. Frames smaller than a block are left to the network.
    """
    if min(img0.shape[-2:]) < BLOCK:
        return False
    few0, few1 = (image[..., ::STEP, ::STEP] for image in (img0, img1))
    if _rest(few0, few1).mean() > STILL**2:  # most pairs end here
        return False
    rest = _rest(img0, img1)
    return bool(F.avg_pool2d(rest, BLOCK, ceil_mode=True).max() <= STILL**2)


def mix(img0: Tensor, img1: Tensor, t: float) -> Tensor:
    """Return the frame at time t of two in which nothing moves."""
    return torch.lerp(img0, img1, t)


def _rest(img0: Tensor, img1: Tensor) -> Tensor:
    """Return (1, 1, H, W), the mean square over channels that no gain and offset explain."""
    weak, strong = sorted((image - image.mean((2, 3), keepdim=True) for image in (img0, img1)), key=torch.norm)
    gain = (weak * strong).sum() / strong.square().sum().clamp(min=torch.finfo(strong.dtype).tiny)
    return (weak - gain * strong).square().mean(1, keepdim=True)
