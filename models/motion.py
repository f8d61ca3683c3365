"""MP-Net, the motion perception network: flow from time t to both frames, occlusion, and the threshold classifier.

One pass is the published network: features of both frames on four levels, and a decoder on each, from the coarsest to
the finest, which warps the features by the estimate so far and refines it. More passes go on like that: the next one
sees frames twice as large and refines the estimate with the decoders of its levels 2 and 1, whose weights are the same.
(Levels 4 and 3 of a later pass would see again what levels 2 and 1 of the pass before have seen.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import SLOPE, ConvLReLU, backward_warp, concatenate, halves, mean_of_squares, pad_to_multiple
from .passes import Scales

LEVELS = (4, 3, 2, 1)  # of the first pass
LATER_LEVELS = (2, 1)  # of every other
CORRELATED_LEVEL = 4


Pyramids = list[list[Tensor]]  # features of both frames, (2B, C, h, w), per pass and level, finest level first


class Motion(NamedTuple):
    """The motion of one pair of frames.

    flow_t0, flow_t1: (B, 2, H, W) backward flow t->0 and t->1 in pixels, channels (dx, dy).
    occlusion: (B, 1, H, W) blend weight of img0, in [0, 1].
    ratio_logits: (B, K) the classifier's logits over the candidate threshold ratios.
    coarse: where gradients are recorded, the estimates between the levels of every pass, each as large as the level
        that refines it: (B, 5, h, w), the flows in pixels of that size and the occlusion logit; else empty.
    passes: where gradients are recorded, the results of passes at smaller sizes: (B, 5, h, w), the flows in pixels of
        that size and the occlusion; else empty. Of both, only what frames of this size divide into evenly.
    """

    flow_t0: Tensor
    flow_t1: Tensor
    occlusion: Tensor
    ratio_logits: Tensor
    coarse: tuple[Tensor, ...] = ()
    passes: tuple[Tensor, ...] = ()


class FrameEncoder(nn.Module):
    """Four levels of two convolutions, the first of stride 2."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        inputs = (3, *widths[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(ConvLReLU(i, o, stride=2), ConvLReLU(o, o)) for i, o in zip(inputs, widths, strict=True)
        )

    def forward(self, image: Tensor, depth: int = 4) -> list[Tensor]:
        """(B, 3, H, W) -> features of levels l = 1 to `depth`, finest first: (B, widths[l-1], H/2^l, W/2^l)."""
        features = []
        for level in self.levels[:depth]:
            image = level(image)
            features.append(image)
        return features


class FlowDecoder(nn.Module):
    """Five convolutions, then a transposed one to twice the size: a residual of both flows and the occlusion logit."""

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        self.hidden = nn.Sequential(ConvLReLU(in_channels, width), *(ConvLReLU(width, width) for _ in range(4)))
        self.output = nn.ConvTranspose2d(width, 5, kernel_size=4, stride=2, padding=1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> residual (B, 5, 2h, 2w) float32, the fifth hidden feature (B, width, h, w)."""
        hidden = self.hidden(inputs)
        return self.output(hidden).float(), hidden


class RatioClassifier(nn.Module):
    """The threshold classifier: from the coarsest motion feature to logits over the candidate ratios."""

    def __init__(self, width: int, candidates: int):
        super().__init__()
        self.conv = ConvLReLU(width, width, stride=2)
        self.linear = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(SLOPE), nn.Linear(width, candidates))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, K)."""
        return self.linear(self.conv(hidden).mean((2, 3)))


class MotionPerceptionNet(nn.Module):
    """MP-Net, one pass.

    Args:
        encoder, decoder: channels, finest level first.
        candidates: the number of threshold ratios to choose from.
        correlation: radius of the local correlation that the decoder of level 4 also sees; 0: none (the paper).
        any_time: the decoders also see the time t; otherwise every frame is made at t = 1/2 (the paper).
    """

    def __init__(
        self,
        encoder: tuple[int, ...],
        decoder: tuple[int, ...],
        candidates: int,
        *,
        correlation: int = 0,
        any_time: bool = False,
    ):
        super().__init__()
        self.correlation, self.any_time = correlation, any_time
        self.encoder = FrameEncoder(encoder)
        self.decoders = nn.ModuleList()
        for level, (features, width) in enumerate(zip(encoder, decoder, strict=True), start=1):
            estimate = 5 if level < LEVELS[0] else 0  # below the coarsest level: two flows and the occlusion logit
            matches = (2 * correlation + 1) ** 2 if correlation and level == CORRELATED_LEVEL else 0
            self.decoders.append(FlowDecoder(2 * features + estimate + matches + any_time, width))
        self.classifier = RatioClassifier(decoder[-1], candidates)
        self.apply(_kaiming)

    def forward(self, img0: Tensor, img1: Tensor, time: Tensor | None = None, scales: Scales = (0,)) -> Motion:
        """Estimate the motion between two frames.

        Args:
            img0, img1: (B, 3, H, W) in [0, 1], H and W multiples of 16.
            time: (B,) in (0, 1), where the frame to be made lies between img0 and img1; only with `any_time`.
                Default: 1/2.
            scales: of the passes, strictly falling by one; (0,) is the published network. Where the last one is not
                0, flow and occlusion are enlarged bilinearly.
        """
        return self.decode(self.encode(img0, img1, scales), img0.shape[-2:], time, scales)

    def encode(self, img0: Tensor, img1: Tensor, scales: Scales = (0,)) -> Pyramids:
        """Return the features of both frames, which are the same for every time. Arguments: those of `forward`."""
        mean = (_mean(img0) + _mean(img1)) / 2
        dtype = self.encoder.levels[0][0][0].weight.dtype  # type: ignore[index]
        pyramids: Pyramids = []
        finer = scales[-1]
        # Where the last pass is on smaller frames, nobody sees the mean subtracted from the large ones.
        frames = torch.cat([_shrink(image, finer, ceil=finer > LEVELS[0]) - mean for image in (img0, img1)])
        for scale in reversed(scales):
            frames, finer = _shrink(frames, scale - finer, ceil=scale > LEVELS[0]), scale
            depth = len(LEVELS if scale == scales[0] else LATER_LEVELS)
            # The frames are multiples of 16, which is enough for some.
            padded = pad_to_multiple(frames, 2**depth) if scale + depth > LEVELS[0] else frames
            pyramids.insert(0, self.encoder(padded.to(dtype), depth))
        return pyramids

    def decode(
        self, pyramids: Pyramids, size: Sequence[int], time: Tensor | None = None, scales: Scales = (0,)
    ) -> Motion:
        """Estimate the motion from the features that `encode` returned. size: H, W. Else as `forward`."""
        ways = None if time is None else flow_ways(time)
        estimate, hidden = self.decoders[-1](self._inputs(4, pyramids[0][-1], None, time))
        logits = self.classifier(hidden)
        records = torch.is_grad_enabled() and not torch.compiler.is_exporting()
        coarse: list[Tensor] = []
        passes: list[Tensor] = []
        for number, (scale, features) in enumerate(zip(scales, pyramids, strict=True)):
            if number and scale + len(LATER_LEVELS) > LEVELS[0]:  # the frames were padded
                estimate = _fit(estimate, *features[0].shape[-2:])
            for level in LATER_LEVELS if number else LEVELS[1:]:
                # The pass before has left an estimate that is as large as the one that level 2 puts out.
                is_large = number > 0 and level == LATER_LEVELS[0]
                here = halve_estimate(estimate) if is_large else estimate
                moved = here if ways is None else here * ways
                if records and not is_large:
                    coarse += _divides(moved, size, scale + level)
                warped = backward_warp(features[level - 1], torch.cat([moved[:, :2], moved[:, 2:4]]))
                residual, _ = self.decoders[level - 1](self._inputs(level, warped, moved, time))
                estimate = residual + (estimate if is_large else double_estimate(estimate))
            estimate = estimate[..., : -(-size[0] // 2**scale), : -(-size[1] // 2**scale)]
            if records and scale:
                passes += _divides(torch.cat(self._at_time(estimate, time), dim=1), size, scale)
        for _ in range(scales[-1]):
            estimate = double_estimate(estimate)
        parts = self._at_time(estimate[..., : size[0], : size[1]], time)
        return Motion(*parts, logits.float(), tuple(coarse), tuple(passes))

    @staticmethod
    def _at_time(estimate: Tensor, time: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """From an estimate (B, 5, h, w), which is that of t = 1/2, to both flows of t and the occlusion."""
        flow_t0, flow_t1, logit = estimate.split((2, 2, 1), dim=1)
        if time is not None:
            ways = flow_ways(time)
            flow_t0, flow_t1 = flow_t0 * ways[:, :2], flow_t1 * ways[:, 2:4]
            logit = logit + torch.log((1 - time) / time).view(-1, 1, 1, 1)
        return flow_t0, flow_t1, logit.sigmoid()

    def _inputs(self, level: int, features: Tensor, estimate: Tensor | None, time: Tensor | None) -> Tensor:
        """The input of a level's decoder, from features of both frames (2B, C, h, w) and the estimate (B, 5, h, w)."""
        first, second = halves(features)
        parts = [first, second]
        if estimate is not None:
            parts.append(estimate)
        if self.correlation and level == CORRELATED_LEVEL:
            parts.append(correlate(first, second, self.correlation))
        if self.any_time:
            plane = torch.zeros_like(first[:, :1])
            parts.append(plane if time is None else plane + (time - 0.5).to(plane.dtype).view(-1, 1, 1, 1))
        return concatenate(parts, like=features)


def flow_ways(time: Tensor) -> Tensor:
    """Return the share of the motion that each channel of an estimate stands for, (B, 5, 1, 1), for times (B,).

    A decoder puts out the flows of t = 1/2. To time t they are 2t and 2(1 - t) times as long, for straight and even
    motion; the decoders, which see t, correct the rest. The occlusion logit stays.
    """
    ways = torch.stack([2 * time] * 2 + [2 * (1 - time)] * 2 + [torch.ones_like(time)], dim=1)
    return ways[:, :, None, None]


def correlate(features0: Tensor, features1: Tensor, radius: int) -> Tensor:
    """Compare features that lie opposite each other: out_d(x) = cosine of features0(x - d) and features1(x + d).

    What moves evenly by 2d from frame to frame is at x in the middle. The idea of opposite displacements is that of
    BMBC's bilateral cost volume (Park et al., ECCV 2020).

    Args:
        features0, features1: (B, C, h, w).
        radius: of the displacements d, whole pixels in both directions.
    Returns:
        (B, (2 radius + 1)^2, h, w), row by row of d; 0 where a position lies outside the frame.
    """
    height, width = features0.shape[-2:]
    side = 2 * radius + 1
    first, second = (F.pad(F.normalize(f, dim=1, eps=1e-3), (radius,) * 4) for f in (features0, features1))
    matches = []
    for number in range(side**2):
        top, left = divmod(number, side)
        here = second[..., top : top + height, left : left + width]
        there = first[..., side - 1 - top :, side - 1 - left :][..., :height, :width]
        matches.append((there * here).sum(1))
    return torch.stack(matches, dim=1)


def double_estimate(estimate: Tensor) -> Tensor:
    """Resize (B, 5, h, w) to twice the size; the four flow channels grow with it, the occlusion logit does not."""
    # Twice as long first: the same numbers, and a quarter of the work.
    longer = torch.cat([estimate[:, :4] * 2, estimate[:, 4:]], dim=1)
    return F.interpolate(longer, scale_factor=2, mode="bilinear", align_corners=False)


def halve_estimate(estimate: Tensor) -> Tensor:
    """Resize (B, 5, h, w) to half the size, the inverse of `double_estimate` where the estimate is smooth."""
    halved = mean_of_squares(estimate)
    return torch.cat([halved[:, :4] / 2, halved[:, 4:]], dim=1)


def _shrink(image: Tensor, halvings: int, *, ceil: bool) -> Tensor:
    """Halve the sides of (B, C, H, W) so often, with `ceil` rounded up; means of squares, or of what there is."""
    # Up to 1/16, frames divide evenly; an exported graph need not be told how to round.
    if ceil or torch.compiler.is_compiling():
        return F.avg_pool2d(image, 2**halvings, ceil_mode=ceil) if halvings else image
    for _ in range(halvings):
        image = mean_of_squares(image)
    return image


def _fit(estimate: Tensor, height: int, width: int) -> Tensor:
    """Cut the right and bottom border, or repeat it, so that the estimate is as large as asked for."""
    missing = height - estimate.shape[-2], width - estimate.shape[-1]
    return F.pad(estimate, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else estimate


def _divides(estimate: Tensor, size: Sequence[int], halvings: int) -> list[Tensor]:
    """The estimate without padding, if frames of this size hold a whole number of its pixels, which are 2^halvings
    large; else nothing."""
    if any(side % 2**halvings for side in size):
        return []
    return [estimate[..., : size[0] // 2**halvings, : size[1] // 2**halvings]]


def _mean(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, 1, 1), axis by axis: ONNX Runtime adds value after value, which over a whole frame loses
    digits that the flow feels."""
    for axis in (3, 2, 1):
        image = image.mean(axis, keepdim=True)
    return image


def _kaiming(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
