"""The stages of a run: the part of the network that each trains, and its loss."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

import utils
from models import Config, Interpolation, WaveletVFI, find_config, load_weights
from models.layers import Pyramid, blend
from models.losses import Loss, classifier_loss, reconstruction, training_loss

from .options import Settings
from .teacher import Flows, flow_distance, where_better

WARM_UP, STATIC, DYNAMIC = "warm-up", "static", "dynamic"


class FlowOnly(nn.Module):
    """The network without synthesis, for the warm-up of MP-Net: the frame is the merged one."""

    def __init__(self, model: WaveletVFI):
        super().__init__()
        self.model = model

    def forward(self, img0: Tensor, img1: Tensor, **options: Any) -> Interpolation:
        """Arguments: those of `WaveletVFI.perceive`."""
        motion, merged = self.model.perceive(img0, img1, **options)
        return Interpolation(merged, merged, motion, torch.ones_like(motion.ratio_logits[:, :1]), [])


def stage_of(settings: Settings, progress: float) -> str:
    """Return the stage of a run at `progress`, 0 to 1."""
    return DYNAMIC if settings.dynamic else WARM_UP if progress < settings.flow_warmup else STATIC


def trained_network(model: WaveletVFI, stage: str, *, classifier_only: bool) -> nn.Module:
    """Return the module of a stage. Weights that its loss does not reach are frozen; no process waits for them.

    classifier_only: in the dynamic stage, all but the classifier is frozen too.
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
    taught: Flows | None = None,
    frames: tuple[Tensor, Tensor] | None = None,
) -> Loss:
    """Return the stage's loss, its terms weighted as asked for.

    taught: a teacher's flows, to learn from as well. frames: img0 and img1, for the loss of passes at smaller sizes.
    """
    if stage == WARM_UP:
        loss = flow_loss(output, imgt)
    else:
        weights = {"wavelet_weight": settings.weight_wavelet, "computation_weight": settings.weight_cost}
        loss = (classifier_loss if settings.classifier_only else training_loss)(output, imgt, **weights)
    if settings.weight_passes and frames and output.motion.passes:
        passes = settings.weight_passes * passes_loss(output.motion.passes, *frames, imgt)
        loss = loss._replace(total=loss.total + passes, passes=passes)
    if taught is None:
        return loss
    where = where_better(taught, output.motion, output.merged, frames, imgt) if frames else None
    distillation = settings.weight_teacher * flow_distance(output.motion, taught, where).mean()
    return loss._replace(total=loss.total + distillation, distillation=distillation)


def passes_loss(passes: Sequence[Tensor], img0: Tensor, img1: Tensor, imgt: Tensor) -> Tensor:
    """Return the reconstruction loss of the merged frames of passes at smaller sizes, summed over the passes.

    Args:
        passes: as in `Motion`: (B, 5, h, w) flows and occlusion at sizes by whole factors smaller than the frames'.
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
    return Loss(rec, rec, zero, zero, zero, zero, zero)


def build_model(settings: Settings, source: str, checkpoint: dict | None) -> WaveletVFI:
    """Build the network to train, in float32: resumed from the checkpoint `source`, started from other weights (of any
    floating dtype), or fresh."""
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
