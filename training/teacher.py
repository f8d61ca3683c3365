"""A teacher: another network's flow, which MP-Net learns to agree with on every level, as IFRNet's does."""

import inspect
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import utils
from models import Motion
from models.layers import Pyramid, blend

Flows = tuple[Tensor, Tensor]  # (B, 2, H, W) t->0 and t->1, in pixels, channels (dx, dy)
MARGIN = 0.003  # mean absolute difference of a pixel by which a teacher's must be the better one
LEVELS = 4  # estimates of one pass


def open_teacher(text: str) -> Callable[..., Flows]:
    """Return the teacher "module:function" as a function of img0, img1, imgt (B, 3, H, W) in [0, 1] and times (B,).

    The function takes img0 and img1 alone and returns the flows of t = 1/2, or it takes all four: it then may look at
    the true frame, which the student cannot see, as RIFE's privileged teacher does.

    Raises:
        ValueError: another form, no such module or function; when called: flows of another shape, or not finite, or
            another time than 1/2 for a teacher of two frames.
    """
    function = utils.find_function(text, "teacher")
    sees_all = len(inspect.signature(function).parameters) >= 4

    @torch.no_grad()
    def teach(img0: Tensor, img1: Tensor, imgt: Tensor | None = None, times: Tensor | None = None) -> Flows:
        if not sees_all and times is not None and not (times == 0.5).all():
            raise ValueError(f"the teacher {text} knows the middle alone; give one of four arguments, or --any_time 0")
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
    """How far the flows of all levels and passes are from a teacher's, per sample (B,), in pixels of the full frame:
    the mean length of the difference at each estimate, summed over both flows, times four: the levels of one pass.

    motion: as recorded with gradients, so that `coarse` and `passes` are there. where: (B, 1, H, W) weights in [0, 1].
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
    """Return (B, 1, H, W), 1 where a teacher's flows merge the frames into something nearer to the truth, else 0.

    Args:
        merged: (B, 3, H, W), the student's. frames: img0 and img1.
    """
    theirs = blend(*frames, *taught, motion.occlusion)
    ours, theirs = ((image - imgt).abs().mean(1, keepdim=True) for image in (merged, theirs))
    return (F.avg_pool2d(ours - theirs, 3, stride=1, padding=1) > MARGIN).float()
