"""Learn from a teacher: MP-Net learns to agree with another network's flow on every level, as in IFRNet."""

import inspect
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import utils
from models import Motion
from models.layers import Pyramid, blend

Flows = tuple[Tensor, Tensor]  # flow_t0 and flow_t1, (B, 2, H, W) each, channels (dx, dy) in pixels
MARGIN = 0.003  # a teacher is better at a pixel if its mean absolute error is smaller by more than this
LEVELS = 4  # estimates of one pass of MP-Net


def open_teacher(text: str) -> Callable[..., Flows]:
    """Open the teacher that "module:function" names.

    A teacher of two arguments, img0 and img1, returns the flows for t = 1/2. A teacher of four arguments, img0, img1,
    imgt and t, may also look at the true frame, which the student cannot see, as RIFE's privileged teacher does.

    Returns:
        A function of img0, img1, imgt (B, 3, H, W) in [0, 1] and times (B,) that returns the flows. It raises
        ValueError if the flows have another shape or are not finite, or if a teacher of two arguments gets another time
        than 1/2.
    Raises:
        ValueError: the text has another form, or there is no such module or function.
    """
    function = utils.find_function(text, "teacher")
    sees_all = len(inspect.signature(function).parameters) >= 4

    @torch.no_grad()
    def teach(img0: Tensor, img1: Tensor, imgt: Tensor | None = None, times: Tensor | None = None) -> Flows:
        if not sees_all and times is not None and not (times == 0.5).all():
            raise ValueError(
                f"the teacher {text} knows the middle alone; give a teacher of four arguments, or --any_time 0"
            )
        flows = function(img0, img1, imgt, times) if sees_all else function(img0, img1)
        shape = (img0.shape[0], 2, *img0.shape[-2:])
        if len(flows) != 2 or any(flow.shape != shape for flow in flows):
            given = ", ".join(str(tuple(flow.shape)) for flow in flows)
            raise ValueError(f"the teacher {text} must give two flows {shape}, got {given}")
        if not all(torch.isfinite(flow).all() for flow in flows):
            raise ValueError(f"the teacher {text} gave a flow that is not finite")
        return flows[0].float(), flows[1].float()

    return teach


def flow_distance(motion: Motion, taught: Flows, where: Tensor | None = None) -> Tensor:
    """Return the distance between the flows of all levels and passes and a teacher's flows.

    The distance is the mean over all estimates of the mean length of the difference, in pixels of the full frame. It is
    summed over both flows, and multiplied by four, the number of levels of one pass.

    Args:
        motion: the motion with its fields `coarse` and `passes`, which exist if gradients are recorded.
        taught: the teacher's flows.
        where: (B, 1, H, W) weights in [0, 1]. Default: 1.
    Returns:
        (B,).
    """
    fine = torch.cat([motion.flow_t0, motion.flow_t1], dim=1)
    goal = torch.cat(taught, dim=1)
    total = torch.zeros(len(goal), device=goal.device)
    estimates = (*motion.coarse, *motion.passes, fine)
    goals, weights = Pyramid(goal), None if where is None else Pyramid(where)
    for estimate in estimates:
        size = goal.shape[-1] // estimate.shape[-1]  # of this level's pixels
        difference = estimate[:, :4] * size - goals.at(size)
        lengths = ((difference.unflatten(1, (2, 2)) ** 2).sum(2) + 1e-6).sqrt()  # the root of 0 has no gradient
        if weights is not None:
            lengths = lengths * weights.at(size)
        total = total + lengths.sum(1).mean((1, 2))
    return total * (LEVELS / len(estimates))


@torch.no_grad()
def where_better(taught: Flows, motion: Motion, merged: Tensor, frames: tuple[Tensor, Tensor], imgt: Tensor) -> Tensor:
    """Return (B, 1, H, W): 1 where a teacher's flows merge the frames better than the student's flows, else 0.

    Args:
        taught: the teacher's flows.
        motion: the student's motion.
        merged: (B, 3, H, W) the student's merged frame.
        frames: img0 and img1, (B, 3, H, W) each.
        imgt: (B, 3, H, W) the true frame.
    """
    theirs = blend(*frames, *taught, motion.occlusion)
    ours, theirs = ((image - imgt).abs().mean(1, keepdim=True) for image in (merged, theirs))
    return (F.avg_pool2d(ours - theirs, 3, stride=1, padding=1) > MARGIN).float()
