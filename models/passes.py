"""Coarse-to-fine motion: MP-Net, with the same weights, from small frames to large ones.

One pass of MP-Net sees about 16 pixels far at the size that it runs at. So it runs on frames of a quarter of the size
first, say, then on frames of half the size that are already warped by the flow found, and so on. Every pass but the
first only corrects: flow(x) = residual(x) + coarse(x + residual(x)). One pass at full size is the published network.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import AUTO, Passes, check_passes
from .layers import MULTIPLE, backward_warp, concatenate, pad_to_multiple
from .motion import LEVELS, Motion, MotionPerceptionNet, double_estimate

Scales = tuple[int, ...]  # of the passes, coarse to fine: s stands for frames of 1/2^s of the size


def scales_of(passes: Passes, height: int, width: int) -> Scales:
    """Return the scales of `passes` passes for frames of this size.

    Args:
        passes: their number, the last one at full size; or "auto": from the frame's size; or the scales themselves.
    Raises:
        ValueError: none of these, see `models.config.check_passes`.
    """
    check_passes(passes)
    if isinstance(passes, tuple):
        return passes
    if passes == AUTO:
        return auto_scales(height, width)
    return tuple(range(int(passes) - 1, -1, -1))


def auto_scales(height: int, width: int) -> Scales:
    """Return the scales that suit frames of this size: three, the finest of which is below 640x480 pixels.

    At 1280x720 a pass at full size would cost three quarters of all passes for 0.2 dB (checkpoints/TRAINING.md).
    """
    finest = 0
    while (height >> finest) * (width >> finest) > 640 * 480:
        finest += 1
    return tuple(range(finest + 2, finest - 1, -1))


def perceive_motion(
    net: MotionPerceptionNet, img0: Tensor, img1: Tensor, scales: Scales, time: Tensor | None = None
) -> Motion:
    """Estimate the motion between two frames from coarse to fine.

    Args:
        net: one pass. img0, img1: (B, 3, H, W) in [0, 1], H and W multiples of 16.
        scales: strictly falling; `(0,)` is `net` itself.
        time: as `net` takes it.
    Returns:
        The motion at the size of the frames: occlusion and logits of the last pass. If that is one of smaller frames,
        flow and occlusion are enlarged bilinearly.
    """
    if scales == (0,):
        return net(img0, img1, time)
    first, *others = scales
    frames = [_shrink(image, first) for image in (img0, img1)]
    motion, estimate = _run(net, frames, None, time)
    coarse, earlier = motion.coarse, []
    for scale in others:
        earlier.append(estimate)
        frames = [_shrink(image, scale) for image in (img0, img1)]
        motion, estimate = _run(net, frames, _enlarge(estimate, frames[0]), time)
        coarse += motion.coarse
    if scales[-1]:
        earlier.append(estimate)
    for _ in range(scales[-1]):
        estimate = double_estimate(estimate)
    estimate = estimate[..., : img0.shape[-2], : img0.shape[-1]]
    flow_t0, flow_t1, occlusion = estimate.split((2, 2, 1), dim=1)
    kept = tuple(earlier) if torch.is_grad_enabled() else ()
    return Motion(flow_t0, flow_t1, occlusion, motion.ratio_logits, coarse, kept)


def _run(
    net: MotionPerceptionNet, frames: list[Tensor], before: Tensor | None, time: Tensor | None
) -> tuple[Motion, Tensor]:
    """Run one pass: its motion, and the estimate (B, 5, h, w) of flow_t0, flow_t1 and occlusion that it leads to.

    before: (B, 5, h, w), the estimate of the pass before, which this one corrects.
    """
    height, width = frames[0].shape[-2:]
    if before is not None:
        warped = (backward_warp(*pair) for pair in zip(frames, (before[:, :2], before[:, 2:4]), strict=True))
        frames = [concatenate([image], like=frame) for image, frame in zip(warped, frames, strict=True)]
    motion = net(*(pad_to_multiple(frame, MULTIPLE) for frame in frames), time)
    found = torch.cat([motion.flow_t0, motion.flow_t1, motion.occlusion], dim=1)
    cropped = (_crop(estimate, found, height, width) for estimate in motion.coarse)
    inner, found = [estimate for estimate in cropped if estimate is not None], found[..., :height, :width]
    if before is not None:
        inner, found = [_correct(estimate, before) for estimate in inner], _correct(found, before)
    return motion._replace(coarse=tuple(inner)), found


def _crop(estimate: Tensor, finest: Tensor, height: int, width: int) -> Tensor | None:
    """Take the padding off an inner estimate; None where the frame does not hold a whole number of its pixels."""
    size = finest.shape[-1] // estimate.shape[-1]
    if height % size or width % size:
        return None
    return estimate[..., : height // size, : width // size]


def _correct(residual: Tensor, coarse: Tensor) -> Tensor:
    """Compose two estimates (B, 5, h, w): flow(x) = residual(x) + coarse(x + residual(x)); the residual's occlusion.

    coarse: as large as the residual, or by whole factors larger.
    """
    factor = coarse.shape[-1] // residual.shape[-1]
    if factor > 1:
        coarse = F.avg_pool2d(coarse, factor) / factor
    flows = []
    for first in (0, 2):
        flow = residual[:, first : first + 2]
        flows.append(flow + backward_warp(coarse[:, first : first + 2], flow))
    return torch.cat([*flows, residual[:, 4:]], dim=1)


def _shrink(image: Tensor, scale: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H/2^scale, W/2^scale), rounded up, the mean of each square or of what there is of it."""
    # Up to 1/16, frames divide evenly; an exported graph need not be told how to round.
    return F.avg_pool2d(image, 2**scale, ceil_mode=scale > LEVELS[0]) if scale else image


def _enlarge(estimate: Tensor, frame: Tensor) -> Tensor:
    """Double an estimate to the size of a frame, which may be one pixel less."""
    return double_estimate(estimate)[..., : frame.shape[-2], : frame.shape[-1]]
