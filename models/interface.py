"""The network's results, and the checks of its arguments.

Errors say what came, what is needed, and what to do.
"""

import functools
import math
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from . import macs
from .config import Scales
from .layers import MULTIPLE
from .motion import Motion, Pyramids
from .synthesis import Features, LevelContext, Synthesis


class Known(NamedTuple):
    """Features that earlier calls have computed. A part is None if it is still to be computed.

    img0: context features of img0, which depend neither on the other frame nor on the time.
    img1: the same of img1.
    pair: MP-Net's features of both frames, which do not depend on the time.
    """

    img0: Features | None = None
    img1: Features | None = None
    pair: Pyramids | None = None


class Observation(NamedTuple):
    """The parts of a prediction that do not depend on the threshold ratio.

    motion: flows, occlusion and ratio logits.
    scales: scales of MP-Net's passes, see `models.config`.
    merged: (B, 3, H, W) both frames, warped to time t and blended.
    pair: MP-Net's features of both frames; None if the caller did not ask for them.
    matched: True if MP-Net's features were computed here, False if they were given.
    features: context features of img0 and of img1, finest first, (B, C, H/2^l, W/2^l) each.
    encoded: number of frames, 0 to 2, whose context features were computed here; the others were given.
    context: input of WS-Net, four levels, finest first.
    """

    motion: Motion
    scales: Scales
    merged: Tensor
    pair: Pyramids | None
    matched: bool
    features: tuple[Features, Features]
    encoded: int
    context: list[LevelContext]


class Interpolation(NamedTuple):
    """The output of the network. K is the number of candidates: threshold ratios that were tried.

    frame: (B, 3, H, W) in [0, 1], the candidates' frames weighted by their probabilities.
    merged: (B, 3, H, W) both frames, warped to time t and blended.
    motion: flows, occlusion and ratio logits.
    probs: (B, K) probabilities of the candidates; rows sum to 1.
    candidates: K `Synthesis`.
    known: features for other calls; None unless the caller gave `known`.
    scales: scales of MP-Net's passes, see `models.config`.
    encoded: number of frames, 0 to 2, whose context features were computed in this call.
    matched: True if MP-Net's features of the pair were computed in this call.
    alone: False if parts were computed together with other outputs, as in a sweep.
    network: the network, for counting operations; None if gradients are recorded.
    """

    frame: Tensor
    merged: Tensor
    motion: Motion
    probs: Tensor
    candidates: list[Synthesis]
    known: Known | None = None
    scales: Scales = (0,)
    encoded: int = 2
    matched: bool = True
    alone: bool = True
    network: Any = None

    @property
    def published_gmacs(self) -> Tensor | None:
        """Operations as published tables count them, (B,), in units of 10^9; see `models.macs`. None if unknown.

        Candidates are weighted by their probabilities. Counting reads the masks, for which it must wait for a GPU.
        Therefore it is not a part of the network's call.
        """
        if self.network is None:
            return None
        height, width = self.merged.shape[-2:]
        weighted = zip(self.probs.double().cpu().unbind(1), self.candidates, strict=True)
        count = functools.partial(macs.published_gmacs, self.network, height, width, scales=self.scales)
        return cast(Tensor, sum(p * count(candidate.masks) for p, candidate in weighted))

    @property
    def executed_gmacs(self) -> Tensor | None:
        """Multiply-accumulates that were computed, (B,), in units of 10^9. None if unknown, as in a sweep."""
        if self.network is None or not self.alone:
            return None
        executed = cast(Tensor, sum(candidate.executed for candidate in self.candidates))
        height, width = self.merged.shape[-2:]
        return macs.executed_gmacs(
            self.network, height, width, executed, encoded=self.encoded, matched=self.matched, scales=self.scales
        )


def check_inputs(
    img0: Tensor,
    img1: Tensor,
    ratio: float | Tensor | None,
    budget: float | None,
    temperature: float | None,
) -> None:
    """Check frames, and the options that set the amount of computation, as described in `WaveletVFI.forward`.

    Raises:
        ValueError: an argument of another shape, type or range, or more than one of ratio, budget, temperature.
    """
    check_frames(img0, img1)
    height, width = img0.shape[-2:]
    if height % MULTIPLE or width % MULTIPLE:
        raise ValueError(
            f"frame height and width must be multiples of {MULTIPLE}, got {height}x{width}; "
            "use model.interpolate(), which pads and crops"
        )
    if sum(option is not None for option in (ratio, budget, temperature)) > 1:
        raise ValueError("give one of ratio (a threshold), budget (a cost) and temperature (all candidates)")
    if budget is not None and not (math.isfinite(budget) and budget >= 0):
        raise ValueError(f"budget must be finite and >= 0, got {budget}")
    if temperature is not None and not temperature > 0:
        raise ValueError(f"temperature must be > 0, got {temperature}")
    if ratio is not None:
        values = torch.as_tensor(ratio)
        if not (torch.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"ratio must be finite and >= 0, got {ratio}")
        _check_count("ratio", values, img0)


def check_frames(img0: Tensor, img1: Tensor) -> None:
    """Raise ValueError unless both frames are (B, 3, H, W), floating point, and of the same size."""
    for name, image in (("img0", img0), ("img1", img1)):
        if image.dim() != 4 or image.shape[1] != 3 or 0 in image.shape:
            raise ValueError(f"{name} must be (B, 3, H, W), got {tuple(image.shape)}")
        if not image.is_floating_point():
            raise ValueError(f"{name} must be floating point in [0, 1], got {image.dtype}; divide 8-bit images by 255")
    if img0.shape != img1.shape:
        raise ValueError(f"both frames must have one size, got {tuple(img0.shape)} and {tuple(img1.shape)}")


def check_times(t: float | Tensor | None, image: Tensor, *, any_time: bool) -> Tensor | None:
    """Return the times for MP-Net: (B,) float32 on the device of the frames, or None for the middle.

    Args:
        t: a number or one per sample. Default: 1/2.
        image: (B, ...), a frame.
        any_time: True if the weights make frames at any time, False if they make the middle one alone.
    Raises:
        ValueError: a time outside (0, 1), of another shape, or one that the weights cannot make.
    """
    if torch.compiler.is_exporting() and isinstance(t, Tensor):
        return t  # the graph has an input with one time per sample
    if t is None:
        return None
    times = torch.as_tensor(t, dtype=torch.float32)
    _check_count("t", times, image)
    if not ((times > 0) & (times < 1)).all():
        raise ValueError(f"t must lie between 0 and 1, both excluded, got {t}")
    if not any_time and not (times == 0.5).all():
        raise ValueError(
            f"these weights make the frame at t = 0.5 alone, got t = {t}; use weights whose configuration has "
            "any_time (checkpoints/README.md), or halve again and again"
        )
    return times.to(image.device).expand(len(image)) if any_time else None


def _check_count(name: str, values: Tensor, image: Tensor) -> None:
    """Raise ValueError unless there is one value, or one for each sample of `image`."""
    # The length comes last: `len` would fix the batch size of an exported graph, in which the ratio is one number.
    if values.dim() > 1 or (values.dim() == 1 and len(values) not in (1, len(image))):
        raise ValueError(f"{name} must be a number or one per sample ({len(image)}), got {tuple(values.shape)}")
