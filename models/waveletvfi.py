"""WaveletVFI: the network of "Dynamic Frame Interpolation in Wavelet Domain" (TIP 2023), for training and for use.

The network makes the frame at time t between img0 (time 0) and img1 (time 1). By default, t is 1/2. Every part works
on four levels. Level l has size H/2^l x W/2^l, and a part runs along an arrow:

    level            4: H/16           3: H/8           2: H/4           1: H/2           0: H

    FrameEncoder     features <------- features <------ features <------ features <------ img0, img1
                        |                 |                |                |
    MP-Net           decoder --------> decoder -------> decoder -------> decoder -------> flow_t0, flow_t1, occlusion
                        |                                                                    |  warp to t, blend
                     classifier: threshold ratio                                          merged
                                                                                             |
    ContextNet       context <-------- context <------- context <------- context <------- img0, img1, merged
                        |                 |                |                |
    WS-Net           low, high -M^3--> high ----M^2---> high ----M^1---> high ----------> frame

1. MP-Net (`motion.py`) estimates the flows from time t to both frames and the occlusion, the blend weight of img0. Its
   decoders make the flows of t = 1/2. For another t, these are scaled by 2t and by 2(1 - t). Its classifier chooses a
   threshold ratio: by the feature of level 4 in the paper, by that of level 1 of the last pass in `small`.
2. Both frames are warped to time t and blended: `merged`.
3. ContextNet (`synthesis.py`) makes features of both frames, warped to time t on each level, and of the merged frame.
4. WS-Net (`synthesis.py`) makes the frame's Haar bands: `low` and `high` (details) on level 4, then finer details. A
   detail of level l is computed only where the mask M^l is 1: where a detail of level l + 1 exceeds its threshold,
   ratio * (max - min of the low band). A larger ratio saves more operations.

MP-Net may run in several passes from coarse to fine (`config.py`). The first pass sees small frames and uses all
decoders. Each later pass sees frames twice as large and refines the estimate with the decoders of levels 2 and 1:

    passes = 3       frames of 1/4: 4 3 2 1  ->  frames of 1/2: 2 1  ->  frames of full size: 2 1  ->  flows, occlusion

`small` runs each coarse pass twice (`Config.repeats`), such as that on frames of 1/4: 4 3 2 1, then 2 1.

`WaveletVFI.observe` is steps 1 to 3, which do not depend on the ratio. `WaveletVFI.synthesise` is step 4.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Config, Passes, Scales, find_config, scales_of
from .interface import Interpolation, Known, Observation, check_frames, check_inputs, check_times
from .layers import MULTIPLE, blend, channels_last, pad_to_multiple
from .motion import Motion, MotionPerceptionNet, Pyramids
from .sparse import METHODS, SparseConv2d
from .synthesis import ContextNet, Synthesis, WaveletSynthesisNet
from .weights import Pretrained, to_ours


class WaveletVFI(Pretrained):
    """The whole network. `config` is a `Config` or the name of one."""

    def __init__(self, config: Config | str = "base"):
        super().__init__()
        self.config = config = find_config(config)
        self.motion = MotionPerceptionNet(config)
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
        """Make the frame at time t, and return it with all intermediate results.

        Args:
            img0, img1: (B, 3, H, W) RGB in [0, 1], H and W multiples of 16.
            ratio: threshold ratio >= 0, a number or one per sample (B,). Default: the classifier's choice per sample.
            budget: largest cost >= 0, instead of a ratio. The cost is the number of multiply-accumulates of the sparse
                convolutions, as a fraction of the dense ones. Per sample, the smallest ratio that keeps to it is used.
            temperature: > 0. Compute all candidates, with Gumbel-softmax probabilities (training, dynamic stage).
            t: time of the frame, 0 < t < 1, a number or one per sample (B,). Default: 1/2. Another time needs a
                configuration with `any_time`.
            passes: number of MP-Net's passes (1 is the published network), "auto" to choose it by the frame's size, or
                scales such as (2, 1) for frames of 1/4 and 1/2 of the size. Default: that of the configuration.
            known: features that earlier calls with these frames returned as `known`. If it is given, even as an empty
                `Known()`, the output has such features for other times, and for other pairs with one of the frames.
        Raises:
            ValueError: an argument of another shape, type or range, or more than one of ratio, budget, temperature.
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
        """Compute the parts that do not depend on the threshold ratio: motion, merged frame and context.

        The arguments are those of `forward`.
        """
        img0, img1 = self._prepare(img0), self._prepare(img1)
        scales = self.scales(img0.shape[-2], img0.shape[-1], passes)
        features0, features1, pair = known or Known()
        is_new = pair is None
        if known is not None and is_new:  # other calls will use them, too
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
        """Make the frame from an observation. The arguments are those of `forward`."""
        o = observation
        ratios, probs = self._select_ratios(o.motion.ratio_logits, 0.0 if budget is not None else ratio, temperature)
        candidates = self.synthesis(o.context, ratios, o.merged, budget)
        if temperature is None:
            return self._output(observation, candidates[0].frame, probs, candidates)
        frame = sum(p.view(-1, 1, 1, 1) * c.frame for p, c in zip(probs.unbind(1), candidates, strict=True))
        return self._output(observation, cast(Tensor, frame), probs, candidates)

    def _output(self, o: Observation, frame: Tensor, probs: Tensor, candidates: list[Synthesis]) -> Interpolation:
        network = None if torch.is_grad_enabled() else self
        output = Interpolation(frame, o.merged, o.motion, probs, candidates)
        return output._replace(scales=o.scales, encoded=o.encoded, matched=o.matched, network=network)

    def _prepare(self, image: Tensor) -> Tensor:
        """Convert a frame to at least float32, which positions and masks need, and to channels last.

        The published method keeps the usual layout. An exported graph does, too: its runtime chooses the layout.
        """
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
        """Run MP-Net alone. Return the motion and the merged frame (B, 3, H, W).

        Args:
            img0, img1, t, passes: as in `forward`.
            pair: MP-Net's features of both frames, if they are known.
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
        passes = self.config.passes if passes is None else passes
        return scales_of(passes, height, width, self.config.repeats)

    def interpolate(
        self,
        img0: Tensor,
        img1: Tensor,
        *,
        ratio: float | Tensor | None = None,
        budget: float | None = None,
        t: float | Tensor | None = None,
        passes: Passes | None = None,
    ) -> Tensor:
        """Make the frame (B, 3, H, W) in [0, 1] at time t between two frames of any size, without gradients.

        Args:
            img0, img1, ratio, budget, t, passes: as in `forward`, but frames of any size.
        """
        return self.interpolate_details(img0, img1, ratio=ratio, budget=budget, t=t, passes=passes).frame

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
        """Do the same as `interpolate`, and return all intermediate results.

        `frame` has the size of the inputs. The other results have the padded size, multiples of 16. `known` is as in
        `forward`, for frames of the same size.
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
        """Return `interpolate_details` for several ratios, computed together. The frames are the same as one by one.

        `executed_gmacs` is None, because the operations of a single ratio are not known.

        Args:
            ratios: threshold ratios; None stands for the classifier's choice.
            img0, img1, t, passes: as in `interpolate`.
        Raises:
            ValueError: there is no ratio, or an argument is wrong.
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
        """The method for sparse convolutions, one of `models.sparse.METHODS`. The results are equal."""
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
        """Return K ratios, (B,) each, and their probabilities (B, K)."""
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
