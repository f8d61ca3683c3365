"""The results of the network: what it keeps of a pair of frames, what it observes, and what it returns."""

from typing import Any, NamedTuple

from torch import Tensor

from .context import Features, LevelContext
from .macs import count_executed, count_published
from .motion import Motion, Pyramids
from .passes import Scales
from .synthesis import Synthesis


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
    scales: scales of MP-Net's passes, see `models.passes`.
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
    scales: scales of MP-Net's passes, see `models.passes`.
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
        """Operations as published tables count them, (B,), in units of 10^9; see `models.macs`. None if unknown."""
        return count_published(self.network, self) if self.network else None

    @property
    def executed_gmacs(self) -> Tensor | None:
        """Multiply-accumulates that were computed, (B,), in units of 10^9. None if unknown, as in a sweep."""
        return count_executed(self.network, self) if self.network else None
