"""WaveletVFI: MP-Net, context and WS-Net together, for training and for use."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .checks import check_frames, check_inputs, check_times
from .config import Config, find_config
from .context import ContextNet, Features, LevelContext
from .ensemble import average_with_mirrored
from .layers import MULTIPLE, blend, channels_last, pad_to_multiple
from .macs import count_executed, count_published
from .motion import Motion, MotionPerceptionNet, Pyramids
from .passes import Passes, Scales, scales_of
from .pretrained import Pretrained
from .released_names import to_ours
from .sparse import METHODS, SparseConv2d
from .synthesis import Synthesis, WaveletSynthesisNet


class Known(NamedTuple):
    """What earlier calls have computed of two frames, each part None where it is still to be computed.

    img0, img1: context features, the same whatever the other frame and the time.
    pair: MP-Net's features of both frames together, the same for every time.
    """

    img0: Features | None = None
    img1: Features | None = None
    pair: Pyramids | None = None


class Observation(NamedTuple):
    """What the network knows of two frames before it decides how much to compute.

    motion: flows, occlusion, ratio logits. scales: of MP-Net's passes, see `models.passes`.
    merged: (B, 3, H, W) both frames warped to time t and blended.
    pair: MP-Net's features of both frames, the same for every time; None where nobody asked. matched: whether they were
        computed here.
    features: context features of both frames, each finest first, (B, C, H/2^l, W/2^l): the same in every pair.
    encoded: of how many of the two frames they were computed here; the others were given.
    context: four levels, finest first, of what WS-Net sees.
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
    """What the network returns.

    frame: (B, 3, H, W) in [0, 1], the candidates' frames weighted by their probabilities.
    merged: (B, 3, H, W) both frames warped to time t and blended.
    motion: flows, occlusion, ratio logits. probs: (B, K), rows sum to 1. candidates: K `Synthesis`.
    known: features for other calls, where `known` was given.
    scales: of MP-Net's passes, see `models.passes`. encoded: of how many frames context features were computed.
    matched: whether MP-Net's features of the pair were computed.
    alone: whether nothing was computed together with other outputs, as in a sweep.
    network: what made it, to count operations by; None where gradients are recorded.
    """

    frame: Tensor
    merged: Tensor
    motion: Motion
    probs: Tensor
    candidates: list[Synthesis]
    known: "Known | None" = None
    scales: Scales = (0,)
    encoded: int = 2
    matched: bool = True
    alone: bool = True
    network: "WaveletVFI | None" = None

    @property
    def published_gmacs(self) -> Tensor | None:
        """10^9 operations as published tables count them, (B,), counted now; see `models.macs`."""
        return count_published(self.network, self) if self.network else None

    @property
    def executed_gmacs(self) -> Tensor | None:
        """10^9 multiply-accumulates that were really computed, (B,); None where that is not known, as in a sweep."""
        return count_executed(self.network, self) if self.network else None


class WaveletVFI(Pretrained):
    """The network of "Dynamic Frame Interpolation in Wavelet Domain". `config`: a `Config` or the name of one."""

    def __init__(self, config: Config | str = "base"):
        super().__init__()
        self.config = config = find_config(config)
        self.motion = MotionPerceptionNet(
            config.encoder,
            config.decoder,
            len(config.ratios),
            correlation=config.correlation,
            any_time=config.any_time,
        )
        self.context = ContextNet(config.context)
        context = tuple(3 * width for width in config.context)
        self.synthesis = WaveletSynthesisNet(context, config.synthesis, correction=config.correction)
        self.register_load_state_dict_pre_hook(_translate_names)

    def forward(
        self,
        img0: Tensor,
        img1: Tensor,
        *,
        ratio: float | Tensor | None = None,
        budget: float | None = None,
        temperature: float | None = None,
        t: float | Tensor | None = None,
        passes: Passes | None = None,
        known: Known | None = None,
    ) -> Interpolation:
        """Make the frame at time t, and return everything on the way.

        Args:
            img0, img1: (B, 3, H, W) RGB in [0, 1], H and W multiples of 16.
            ratio: threshold ratio >= 0, a number or one per sample (B,). Default: the classifier's choice per sample.
            budget: >= 0, instead of a ratio: per sample the smallest ratio found with which the sparse convolutions,
                detours on the way to it included, cost at most this fraction of the dense ones.
            temperature: > 0, evaluates all candidates with Gumbel-softmax probabilities (training, dynamic stage).
            t: the time of the frame, 0 < t < 1, img0 being at 0 and img1 at 1: a number or one per sample (B,).
                Default: 1/2. Another time needs a configuration with `any_time`.
            passes: how often MP-Net runs from coarse to fine: a number, 1 being the published network; "auto": from
                the frame's size; or scales such as (2, 1) for frames of 1/4 and 1/2 of the size (see `models.passes`).
                Default: what the configuration says.
            known: what earlier calls with one of the frames, or with both, have returned as `known`. Given, even as
                `Known()`, it is returned, for other times and for other pairs with one of the frames.
        """
        check_inputs(img0, img1, ratio, budget, temperature)
        observation = self.observe(img0, img1, t=t, passes=passes, known=known)
        output = self.synthesise(observation, ratio=ratio, budget=budget, temperature=temperature)
        kept = None if known is None else Known(*observation.features, observation.pair)
        return output._replace(frame=output.frame.to(img0.dtype), known=kept)

    def observe(
        self,
        img0: Tensor,
        img1: Tensor,
        *,
        t: float | Tensor | None = None,
        passes: Passes | None = None,
        known: Known | None = None,
    ) -> Observation:
        """Estimate the motion of two frames, merge them, and gather what WS-Net sees: all that no ratio changes.

        Arguments: those of `forward`.
        """
        img0, img1 = self._prepare(img0), self._prepare(img1)
        scales = self.scales(img0.shape[-2], img0.shape[-1], passes)
        features0, features1, pair = known or Known()
        is_new = pair is None
        if known is not None and is_new:  # wanted by other calls as well
            pair = self.motion.encode(img0, img1, scales)
        motion, merged = self.perceive(img0, img1, t=t, passes=passes, pair=pair)
        features = features0 or self.context.encode(img0), features1 or self.context.encode(img1)
        encoded = (features0 is None) + (features1 is None)
        context = self.context(features, merged, motion)
        return Observation(motion, scales, merged, pair, is_new, features, encoded, context)

    def synthesise(
        self,
        observation: Observation,
        *,
        ratio: float | Tensor | None = None,
        budget: float | None = None,
        temperature: float | None = None,
    ) -> Interpolation:
        """Make the frame of what was observed, with as much computation as asked for.

        Arguments: those of `forward`.
        """
        o = observation
        ratios, probs = self._select_ratios(o.motion.ratio_logits, 0.0 if budget is not None else ratio, temperature)
        candidates = self.synthesis(o.context, ratios, o.merged, budget)
        frame = sum(p.view(-1, 1, 1, 1) * c.frame for p, c in zip(probs.unbind(1), candidates, strict=True))
        return self._output(observation, cast(Tensor, frame), probs, candidates)

    def _output(self, o: Observation, frame: Tensor, probs: Tensor, candidates: list[Synthesis]) -> Interpolation:
        network = None if torch.is_grad_enabled() else self
        output = Interpolation(frame, o.merged, o.motion, probs, candidates)
        return output._replace(scales=o.scales, encoded=o.encoded, matched=o.matched, network=network)

    def _prepare(self, image: Tensor) -> Tensor:
        """Frames in float32 at least: positions and masks need it. Channels last, except for the published way and in
        an exported graph, which its runtime lays out."""
        image = image if image.dtype == torch.float64 else image.float()
        is_plain = self.sparse == "masked" or torch.compiler.is_exporting()
        return image if is_plain else channels_last(image)

    def perceive(
        self,
        img0: Tensor,
        img1: Tensor,
        *,
        t: float | Tensor | None = None,
        passes: Passes | None = None,
        pair: Pyramids | None = None,
    ) -> tuple[Motion, Tensor]:
        """Run MP-Net alone: the motion, and the merged frame (B, 3, H, W).

        t, passes: as in `forward`. pair: MP-Net's features of both frames, where they are known.
        """
        scales = self.scales(img0.shape[-2], img0.shape[-1], passes)
        time = check_times(t, img0, any_time=self.config.any_time)
        if pair is None:
            motion = self.motion(img0, img1, time, scales)
        else:
            motion = self.motion.decode(pair, img0.shape[-2:], time, scales)
        return motion, blend(img0, img1, motion.flow_t0, motion.flow_t1, motion.occlusion)

    def scales(self, height: int, width: int, passes: Passes | None = None) -> Scales:
        """Return the scales at which MP-Net runs for frames of this size. Raises ValueError for other `passes`."""
        return scales_of(self.config.passes if passes is None else passes, height, width)

    def interpolate(
        self,
        img0: Tensor,
        img1: Tensor,
        *,
        ratio: float | Tensor | None = None,
        budget: float | None = None,
        t: float | Tensor | None = None,
        passes: Passes | None = None,
        ensemble: bool = False,
    ) -> Tensor:
        """Make the frame at time t of two frames (B, 3, H, W) of any size, without gradients: (B, 3, H, W) in [0, 1].

        ratio, budget, t, passes: as in `forward`. ensemble: see `models.ensemble`; twice the time.
        """

        def make(img0: Tensor, img1: Tensor, t: float | Tensor | None) -> Tensor:
            return self.interpolate_details(img0, img1, ratio=ratio, budget=budget, t=t, passes=passes).frame

        return average_with_mirrored(make, img0, img1, t) if ensemble else make(img0, img1, t)

    @torch.inference_mode()
    def interpolate_details(
        self,
        img0: Tensor,
        img1: Tensor,
        *,
        ratio: float | Tensor | None = None,
        budget: float | None = None,
        t: float | Tensor | None = None,
        passes: Passes | None = None,
        known: Known | None = None,
    ) -> Interpolation:
        """As `interpolate`, returning everything: `frame` has the input's size, the rest that of the padded one.

        known: as in `forward`, of frames of this size.
        """
        check_frames(img0, img1)
        height, width = img0.shape[-2:]
        padded = (pad_to_multiple(image, MULTIPLE) for image in (img0, img1))
        output = self(*padded, ratio=ratio, budget=budget, t=t, passes=passes, known=known)
        return output._replace(frame=output.frame[..., :height, :width])

    @torch.inference_mode()
    def sweep(
        self,
        img0: Tensor,
        img1: Tensor,
        ratios: Sequence[float | None],
        *,
        t: float | Tensor | None = None,
        passes: Passes | None = None,
    ) -> list[Interpolation]:
        """`interpolate_details` for every ratio, None being the classifier's choice, from one computation.

        The frames are those of each ratio alone; what it executes alone is not known then: `executed_gmacs` is None.
        t, passes: as in `forward`.

        Raises:
            ValueError: no ratio; else as `interpolate_details` does.
        """
        if not ratios:
            raise ValueError("a sweep needs at least one ratio (None: the network's choice), got none")
        check_frames(img0, img1)
        height, width = img0.shape[-2:]
        first, last = (pad_to_multiple(image, MULTIPLE) for image in (img0, img1))
        for ratio in ratios:
            check_inputs(first, last, ratio, None, None)
        observation = self.observe(first, last, t=t, passes=passes)
        chosen = [self._select_ratios(observation.motion.ratio_logits, ratio, None) for ratio in ratios]
        candidates = self.synthesis(observation.context, [ratio for (ratio,), _ in chosen], observation.merged)
        outputs = []
        for (_, probs), candidate in zip(chosen, candidates, strict=True):
            frame = candidate.frame[..., :height, :width].to(img0.dtype)
            outputs.append(self._output(observation, frame, probs, [candidate])._replace(alone=False))
        return outputs

    @property
    def sparse(self) -> str:
        """How sparse convolutions are computed: one of `models.sparse.METHODS`. Results are equal."""
        return self.synthesis.convolutions(1)[0].method

    @sparse.setter
    def sparse(self, method: str) -> None:
        if method not in METHODS:
            raise ValueError(f"sparse must be one of {', '.join(METHODS)}, got {method!r}")
        for module in self.modules():
            if isinstance(module, SparseConv2d):
                module.method = method

    def _select_ratios(
        self, logits: Tensor, ratio: float | Tensor | None, temperature: float | None
    ) -> tuple[list[Tensor], Tensor]:
        """K ratios (B,) and their probabilities (B, K)."""
        candidates = logits.new_tensor(self.config.ratios)
        if temperature is not None:
            return list(candidates[:, None].expand(-1, logits.shape[0])), F.gumbel_softmax(logits, tau=temperature)
        if ratio is None:
            chosen = candidates[logits.argmax(1)]
        else:
            chosen = torch.as_tensor(ratio, dtype=logits.dtype, device=logits.device).expand(logits.shape[0])
        return [chosen], torch.ones_like(logits[:, :1])


def _translate_names(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
    if not prefix:
        translated = to_ours(state_dict)
        state_dict.clear()
        state_dict.update(translated)
