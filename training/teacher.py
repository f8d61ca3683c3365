"""A teacher: another network's flow, which MP-Net learns to agree with on every level, as IFRNet's does."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import utils
from models import Motion

Flows = tuple[Tensor, Tensor]  # (B, 2, H, W) t->0 and t->1, t = 1/2, in pixels, channels (dx, dy)


def open_teacher(text: str) -> Callable[[Tensor, Tensor], Flows]:
    """A teacher by "module:function": two frames (B, 3, H, W) in [0, 1], on the device of training, to their `Flows`.

    Raises:
        ValueError: another form, no such module or function; when called: flows of another shape, or not finite.
    """
    function = utils.find_function(text, "teacher")

    @torch.no_grad()
    def teach(img0: Tensor, img1: Tensor) -> Flows:
        flows = function(img0, img1)
        shape = (img0.shape[0], 2, *img0.shape[-2:])
        if len(flows) != 2 or any(flow.shape != shape for flow in flows):
            given = ", ".join(str(tuple(flow.shape)) for flow in flows)
            raise ValueError(f"the teacher {text} must give two flows {shape}, got {given}")
        if not all(torch.isfinite(flow).all() for flow in flows):
            raise ValueError(f"the teacher {text} gave a flow that is not finite")
        return flows[0].float(), flows[1].float()

    return teach


def flow_distance(motion: Motion, taught: Flows) -> Tensor:
    """How far the flows of all four levels are from a teacher's, per sample (B,), in pixels of the full frame: the
    mean length of the difference at each level, summed over both flows and the levels.

    motion: as recorded with gradients, so that `coarse` is there.
    """
    fine = torch.cat([motion.flow_t0, motion.flow_t1], dim=1)
    goal = torch.cat(taught, dim=1)
    total = torch.zeros(len(goal), device=goal.device)
    for estimate in (*motion.coarse, fine):
        size = goal.shape[-1] // estimate.shape[-1]  # of this level's pixels
        difference = estimate[:, :4] * size - F.avg_pool2d(goal, size)
        lengths = (difference.unflatten(1, (2, 2)) ** 2).sum(2) + 1e-6  # the root of 0 has no gradient
        total = total + lengths.sqrt().sum(1).mean((1, 2))
    return total
