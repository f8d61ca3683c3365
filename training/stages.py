"""The stages of a run: the part of the network that each one trains, its loss, and the outcome of a step.

A teacher is another network. MP-Net learns to agree with its flow on every level, as in IFRNet.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import utils
from models import Config, Interpolation, Motion, WaveletVFI, find_config, load_weights
from models.layers import Pyramid, blend
from models.losses import Loss, classifier_loss, log_error, reconstruction, training_loss

from .options import Settings

WARM_UP, STATIC, DYNAMIC = "warm-up", "static", "dynamic"
Flows = tuple[Tensor, Tensor]  # flow_t0 and flow_t1, (B, 2, H, W) each, channels (dx, dy) in pixels
MARGIN = 0.003  # a teacher is better at a pixel if its mean absolute error is smaller by more than this
LEVELS = 4  # estimates of one pass of MP-Net


class Step(NamedTuple):
    """The outcome of one optimizer step.

    output: the network's output for the last batch of the step.
    imgt: (B, 3, H, W) the true frames of that batch, in [0, 1].
    loss: the means over the batches of the step, on this process.
    learning_rate: the learning rate of the step.
    temperature: the temperature of the Gumbel-softmax; None outside the dynamic stage.
    gradient_norm: () the norm of all gradients before clipping.
    """

    output: Interpolation
    imgt: Tensor
    loss: Loss
    learning_rate: float
    temperature: float | None
    gradient_norm: Tensor


class FlowOnly(nn.Module):
    """The network without WS-Net, for the warm-up of MP-Net. Its frame is the merged frame."""

    def __init__(self, model: WaveletVFI):
        super().__init__()
        self.model = model

    def forward(self, img0: Tensor, img1: Tensor, **options: Any) -> Interpolation:
        """Return the merged frame as the output. The arguments are those of `WaveletVFI.perceive`."""
        motion, merged = self.model.perceive(img0, img1, **options)
        return Interpolation(merged, merged, motion, torch.ones_like(motion.ratio_logits[:, :1]), [])


def stage_of(settings: Settings, progress: float) -> str:
    """Return the stage of a run at `progress`, 0 to 1."""
    return DYNAMIC if settings.dynamic else WARM_UP if progress < settings.flow_warmup else STATIC


def trained_network(model: WaveletVFI, stage: str, *, classifier_only: bool) -> nn.Module:
    """Return the module that a stage trains.

    Weights that the stage's loss does not reach are frozen, so that no process waits for their gradients.

    Args:
        classifier_only: in the dynamic stage, train the classifier alone.
    """
    frozen = classifier_only and stage == DYNAMIC
    model.requires_grad_(stage != WARM_UP and not frozen)
    model.motion.requires_grad_(not frozen)
    model.motion.classifier.requires_grad_(stage == DYNAMIC)
    return FlowOnly(model) if stage == WARM_UP else model


def loss_of(
    output: Interpolation,
    imgt: Tensor,
    stage: str,
    settings: Settings,
    taught: Flows | None,
    frames: tuple[Tensor, Tensor],
) -> Loss:
    """Return the loss of a stage, its terms weighted by the settings.

    Args:
        imgt: (B, 3, H, W) the true frames, in [0, 1].
        taught: the flows of a teacher, to learn from, too; None without a teacher.
        frames: img0 and img1.
    """
    if stage == WARM_UP:
        loss = flow_loss(output, imgt)
    elif settings.classifier_only:
        loss = classifier_loss(output, imgt, cost_weight=settings.weight_cost)
    else:
        weights = {"wavelet_weight": settings.weight_wavelet, "computation_weight": settings.weight_cost}
        loss = training_loss(output, imgt, **weights)
    more = {}
    if settings.weight_passes and output.motion.passes:
        more["passes"] = settings.weight_passes * passes_loss(output.motion.passes, *frames, imgt)
    if settings.weight_log and stage != DYNAMIC:
        more["logarithm"] = settings.weight_log * log_error(output.frame, imgt).mean()
    if taught is not None:
        where = where_better(taught, output.motion, output.merged, frames, imgt)
        more["distillation"] = settings.weight_teacher * flow_distance(output.motion, taught, where).mean()
    return loss._replace(total=sum(more.values(), loss.total), **more)


def passes_loss(passes: Sequence[Tensor], img0: Tensor, img1: Tensor, imgt: Tensor) -> Tensor:
    """Return the reconstruction loss of the merged frames of passes at smaller sizes, summed over the passes.

    A pass is one run of MP-Net. Earlier passes see smaller frames, and later ones correct their flows.

    Args:
        passes: as in `Motion`: (B, 5, h, w) flows and occlusion, where H / h is a whole number.
        img0, img1, imgt: (B, 3, H, W).
    """
    total = imgt.new_zeros(())
    images = [Pyramid(image) for image in (img0, img1, imgt)]
    for found in passes:
        factor = imgt.shape[-1] // found.shape[-1]
        small0, small1, goal = (image.at(factor) for image in images)
        flow_t0, flow_t1, occlusion = found.split((2, 2, 1), dim=1)
        total = total + reconstruction(blend(small0, small1, flow_t0, flow_t1, occlusion), goal).mean()
    return total


def flow_loss(output: Interpolation, imgt: Tensor) -> Loss:
    """Return the reconstruction loss of the merged frame alone."""
    rec = reconstruction(output.merged, imgt).mean()
    zero = torch.zeros_like(rec)
    return Loss(rec, rec, zero, zero, zero, zero, zero, zero)


def build_model(settings: Settings, source: str, checkpoint: dict | None) -> WaveletVFI:
    """Build the network to train, in float32.

    Its weights are those of `checkpoint`, which was read from `source`. Without a checkpoint, they are those of
    `--init_from` or `--branch_from`, of any floating-point type, or fresh ones.
    """
    first = settings.init_from or settings.branch_from
    if checkpoint is None and first:
        checkpoint, source = utils.load_checkpoint(first), first
    stored = checkpoint.get("config") if checkpoint else None
    config = Config(**stored) if stored else find_config(settings.config)
    if settings.ratios:
        config = dataclasses.replace(config, ratios=tuple(settings.ratios))
    model = WaveletVFI(config)
    if checkpoint:
        load_weights(model, checkpoint["model"], source=source)
    return model


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
