"""MP-Net, the motion perception network: flows from time t to both frames, occlusion, and the threshold classifier.

An estimate is (B, 5, h, w): both flows and the logit of the occlusion, for t = 1/2. The published network makes it in
one pass, from the coarsest of four levels to the finest. On each level, the features of both frames are warped by the
estimate so far, and a decoder refines it.

More passes continue in the same way. Each later pass sees frames twice as large and refines the estimate with the
decoders of levels 2 and 1, with the same weights. Levels 4 and 3 of a later pass are left out, because they have the
sizes of levels 2 and 1 of the pass before. The scale of a pass is s if it sees frames of 1/2^s of the size. A pass with
the scale of the one before refines the estimate once more, by the same features.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Config, Scales
from .layers import SLOPE, ConvLReLU, backward_warp, concatenate, halves, mean_of_squares, pad_to_multiple

LEVELS = (4, 3, 2, 1)  # levels of the first pass
LATER_LEVELS = (2, 1)  # levels of every later pass
CORRELATED_LEVEL = 4  # the level whose decoder sees the local correlation
Pyramids = list[list[Tensor]]  # features of both frames, (2B, C, h, w), per pass and level, finest level first


class Motion(NamedTuple):
    """The motion of one pair of frames.

    flow_t0: (B, 2, H, W) backward flow from time t to img0, in pixels, channels (dx, dy).
    flow_t1: (B, 2, H, W) backward flow from time t to img1, in pixels, channels (dx, dy).
    occlusion: (B, 1, H, W) blend weight of img0, in [0, 1].
    ratio_logits: (B, K) the classifier's logits over the candidate threshold ratios.
    coarse: estimates between the levels of every pass, each at the size of the level that refines it: (B, 5, h, w), the
        flows in pixels of that size, and the occlusion logit.
    passes: results of the passes at smaller sizes: (B, 5, h, w), the flows in pixels of that size, and the occlusion.

    `coarse` and `passes` are for training: they are empty unless gradients are recorded. They contain only sizes that
    divide the size of the frames evenly.
    """

    flow_t0: Tensor
    flow_t1: Tensor
    occlusion: Tensor
    ratio_logits: Tensor
    coarse: tuple[Tensor, ...] = ()
    passes: tuple[Tensor, ...] = ()


class FrameEncoder(nn.Module):
    """An encoder of images in levels, each of half the size. `level` makes one from its input and output channels."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], level: Callable[[int, int], nn.Module]):
        super().__init__()
        self.levels = nn.ModuleList(map(level, (in_channels, *widths[:-1]), widths))

    def forward(self, image: Tensor, depth: int = 4) -> list[Tensor]:
        """Encode an image (B, C, H, W) to features of levels 1 to `depth`, (B, widths[l-1], H/2^l, W/2^l)."""
        features = []
        for level in self.levels[:depth]:
            image = level(image)
            features.append(image)
        return features


class FlowDecoder(nn.Module):
    """A decoder: five convolutions, and a transposed one to twice the size. It puts out a residual of the estimate."""

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        self.hidden = nn.Sequential(ConvLReLU(in_channels, width), *(ConvLReLU(width, width) for _ in range(4)))
        self.output = nn.ConvTranspose2d(width, 5, kernel_size=4, stride=2, padding=1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the residual (B, 5, 2h, 2w) float32, and the last hidden feature (B, width, h, w), of (B, C, h, w)."""
        hidden = self.hidden(inputs)
        return self.output(hidden).float(), hidden


class RatioClassifier(nn.Module):
    """The threshold classifier. It maps a motion feature to logits over the candidate ratios."""

    def __init__(self, width: int, candidates: int):
        super().__init__()
        self.conv = ConvLReLU(width, width, stride=2)
        self.linear = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(SLOPE), nn.Linear(width, candidates))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the logits (B, K) for a feature (B, width, h, w)."""
        return self.linear(self.conv(hidden).mean((2, 3)))


class MotionPerceptionNet(nn.Module):
    """MP-Net, with its passes from coarse to fine.

    Args:
        config: the configuration of the network. With `correlation`, the decoder of level 4 also sees the local
            correlation. With `any_time`, all decoders also see the time t; otherwise every frame is made at t = 1/2.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.correlation, self.any_time = config.correlation, config.any_time
        self.classifier_level = config.classifier_level
        self.encoder = FrameEncoder(3, config.encoder, _two_convolutions)
        self.decoders = nn.ModuleList()
        for level, (features, width) in enumerate(zip(config.encoder, config.decoder, strict=True), start=1):
            estimate = 5 if level < LEVELS[0] else 0  # below the coarsest level: two flows and the occlusion logit
            matches = (2 * self.correlation + 1) ** 2 if self.correlation and level == CORRELATED_LEVEL else 0
            self.decoders.append(FlowDecoder(2 * features + estimate + matches + self.any_time, width))
        self.classifier = RatioClassifier(config.decoder[self.classifier_level - 1], len(config.ratios))
        self.apply(_kaiming)

    def forward(self, img0: Tensor, img1: Tensor, time: Tensor | None = None, scales: Scales = (0,)) -> Motion:
        """Estimate the motion between two frames.

        Args:
            img0, img1: (B, 3, H, W) in [0, 1], H and W multiples of 16.
            time: (B,) in (0, 1), the time of the frame to be made; only with `any_time`. Default: 1/2.
            scales: scales of the passes, each one less than the one before; (0,) is the published network. If the last
                one is not 0, flow and occlusion are enlarged bilinearly.
        """
        return self.decode(self.encode(img0, img1, scales), img0.shape[-2:], time, scales)

    def encode(self, img0: Tensor, img1: Tensor, scales: Scales = (0,)) -> Pyramids:
        """Return the features of both frames, which do not depend on the time. Arguments: those of `forward`."""
        mean = (_mean(img0) + _mean(img1)) / 2
        dtype = self.encoder.levels[0][0][0].weight.dtype  # type: ignore[index]
        pyramids: Pyramids = []
        finer = scales[-1]
        # The mean is subtracted after the frames are shrunk for the last pass, which is less work.
        frames = torch.cat([_shrink(image, finer, ceil=finer > LEVELS[0]) - mean for image in (img0, img1)])
        for scale in reversed(scales):
            if pyramids and scale == finer:  # another pass on the same frames
                pyramids.insert(0, pyramids[0])
                continue
            frames, finer = _shrink(frames, scale - finer, ceil=scale > LEVELS[0]), scale
            depth = len(LEVELS if scale == scales[0] else LATER_LEVELS)
            # Frames are multiples of 16, so that only deeper passes need padding.
            padded = pad_to_multiple(frames, 2**depth) if scale + depth > LEVELS[0] else frames
            pyramids.insert(0, self.encoder(padded.to(dtype), depth))
        return pyramids

    def decode(
        self, pyramids: Pyramids, size: Sequence[int], time: Tensor | None = None, scales: Scales = (0,)
    ) -> Motion:
        """Estimate the motion from the features that `encode` returned.

        Args:
            pyramids: the features.
            size: height and width of the frames.
            time, scales: as in `forward`.
        """
        ways = None if time is None else flow_ways(time)
        estimate, hidden = self.decoders[-1](self._inputs(4, pyramids[0][-1], None, time))
        last = {LEVELS[0]: hidden}  # by level: the last feature of the last pass
        records = torch.is_grad_enabled() and not torch.compiler.is_exporting()
        coarse: list[Tensor] = []
        passes: list[Tensor] = []
        for number, (scale, features) in enumerate(zip(scales, pyramids, strict=True)):
            is_repeated = number > 0 and scale == scales[number - 1]
            if number and scale + len(features) > LEVELS[0]:  # the frames were padded
                estimate = _fit(estimate, *(side * (1 + is_repeated) for side in features[0].shape[-2:]))
            if is_repeated:
                estimate = halve_estimate(estimate)
            for level in LATER_LEVELS if number else LEVELS[1:]:
                # The estimate of the pass before is already as large as the output of level 2.
                is_large = number > 0 and level == LATER_LEVELS[0]
                here = halve_estimate(estimate) if is_large else estimate
                moved = here if ways is None else here * ways
                if records and not is_large:
                    coarse += _divides(moved, size, scale + level)
                warped = backward_warp(features[level - 1], torch.cat([moved[:, :2], moved[:, 2:4]]))
                residual, last[level] = self.decoders[level - 1](self._inputs(level, warped, moved, time))
                estimate = residual + (estimate if is_large else double_estimate(estimate))
            estimate = estimate[..., : -(-size[0] // 2**scale), : -(-size[1] // 2**scale)]
            if records and scale:
                passes += _divides(torch.cat(self._at_time(estimate, time), dim=1), size, scale)
        estimate = estimate.contiguous()  # not channels last: whole frames have few channels from here on
        for _ in range(scales[-1]):
            estimate = double_estimate(estimate)
        parts = self._at_time(estimate[..., : size[0], : size[1]], time)
        logits = self.classifier(last[self.classifier_level]).float()
        return Motion(*parts, logits, tuple(coarse), tuple(passes))

    @staticmethod
    def _at_time(estimate: Tensor, time: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Convert an estimate (B, 5, h, w), which is for t = 1/2, to both flows of time t and the occlusion."""
        flow_t0, flow_t1, logit = estimate.split((2, 2, 1), dim=1)
        if time is not None:
            ways = flow_ways(time)
            flow_t0, flow_t1 = flow_t0 * ways[:, :2], flow_t1 * ways[:, 2:4]
            logit = logit + torch.log((1 - time) / time).view(-1, 1, 1, 1)
        return flow_t0, flow_t1, logit.sigmoid()

    def _inputs(self, level: int, features: Tensor, estimate: Tensor | None, time: Tensor | None) -> Tensor:
        """Return the input of a level's decoder, for features of both frames (2B, C, h, w) and an estimate."""
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
    """Return the factor of each channel of an estimate at times (B,): (B, 5, 1, 1).

    A decoder puts out the flows of t = 1/2. At time t, flows of straight and even motion are 2t and 2(1 - t) times as
    long. The decoders, which see t, correct the rest. The factor of the occlusion logit is 1.
    """
    ways = torch.stack([2 * time] * 2 + [2 * (1 - time)] * 2 + [torch.ones_like(time)], dim=1)
    return ways[:, :, None, None]


def correlate(features0: Tensor, features1: Tensor, radius: int) -> Tensor:
    """Compare features at opposite displacements: out_d(x) = cosine of features0(x - d) and features1(x + d).

    An object that moves evenly by 2d between the frames is at x in the middle. BMBC's bilateral cost volume (Park et
    al., ECCV 2020) also uses opposite displacements.

    Args:
        features0, features1: (B, C, h, w).
        radius: largest displacement d in each direction, in whole pixels.
    Returns:
        (B, (2 radius + 1)^2, h, w), displacements row by row; 0 if a position lies outside the frame.
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
    """Resize an estimate (B, 5, h, w) to twice the size. The flows are doubled, too; the occlusion logit is not."""
    # Doubling the flows before resizing gives the same numbers for a quarter of the work.
    longer = torch.cat([estimate[:, :4] * 2, estimate[:, 4:]], dim=1)
    return F.interpolate(longer, scale_factor=2, mode="bilinear", align_corners=False)


def halve_estimate(estimate: Tensor) -> Tensor:
    """Resize an estimate (B, 5, h, w) to half the size: the inverse of `double_estimate` if the estimate is smooth."""
    halved = mean_of_squares(estimate)
    return torch.cat([halved[:, :4] / 2, halved[:, 4:]], dim=1)


def _two_convolutions(in_channels: int, width: int) -> nn.Module:
    return nn.Sequential(ConvLReLU(in_channels, width, stride=2), ConvLReLU(width, width))


def _shrink(image: Tensor, halvings: int, *, ceil: bool) -> Tensor:
    """Halve the sides of (B, C, H, W) `halvings` times, by means of squares. With `ceil`, round sizes up."""
    # Down to 1/16, sizes divide evenly, so an exported graph needs no rounding.
    if ceil or torch.compiler.is_compiling():
        return F.avg_pool2d(image, 2**halvings, ceil_mode=ceil) if halvings else image
    for _ in range(halvings):
        image = mean_of_squares(image)
    return image


def _fit(estimate: Tensor, height: int, width: int) -> Tensor:
    """Crop the right and bottom border of an estimate, or repeat it, to get this size."""
    missing = height - estimate.shape[-2], width - estimate.shape[-1]
    return F.pad(estimate, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else estimate


def _divides(estimate: Tensor, size: Sequence[int], halvings: int) -> list[Tensor]:
    """Return the estimate without padding in a list; an empty list if 2^halvings does not divide the frame's size."""
    if any(side % 2**halvings for side in size):
        return []
    return [estimate[..., : size[0] // 2**halvings, : size[1] // 2**halvings]]


def _mean(image: Tensor) -> Tensor:
    """Return the mean of each sample: (B, C, H, W) -> (B, 1, 1, 1), computed axis by axis.

    ONNX Runtime adds values one after another. Over a whole frame, that would lose digits that matter to the flow.
    """
    for axis in (3, 2, 1):
        image = image.mean(axis, keepdim=True)
    return image


def _kaiming(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
