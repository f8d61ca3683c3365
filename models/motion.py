"""MP-Net, the motion perception network: flow from time t to both frames, occlusion, and the threshold classifier."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import SLOPE, backward_warp, concatenate, conv_lrelu, halves

LEVELS = (4, 3, 2, 1)


class Motion(NamedTuple):
    """What MP-Net perceives.

    flow_t0, flow_t1: (B, 2, H, W) backward flow t->0 and t->1 in pixels, channels (dx, dy).
    occlusion: (B, 1, H, W) blend weight of img0, in [0, 1].
    ratio_logits: (B, K) the classifier's logits over the candidate threshold ratios.
    coarse: where gradients are recorded, the estimates of levels 4, 3, 2 before they were refined: (B, 5, h, w), the
        flows in pixels of that size and the occlusion logit; else none.
    """

    flow_t0: Tensor
    flow_t1: Tensor
    occlusion: Tensor
    ratio_logits: Tensor
    coarse: tuple[Tensor, ...] = ()


class FrameEncoder(nn.Module):
    """Four levels of two convolutions, the first of stride 2."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        inputs = (3, *widths[:-1])
        self.levels = nn.ModuleList(
            nn.Sequential(conv_lrelu(i, o, stride=2), conv_lrelu(o, o)) for i, o in zip(inputs, widths, strict=True)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> features, finest first: (B, widths[l-1], H/2^l, W/2^l)."""
        features = []
        for level in self.levels:
            image = level(image)
            features.append(image)
        return features


class FlowDecoder(nn.Module):
    """Five convolutions, then a transposed one to twice the size: a residual of both flows and the occlusion logit."""

    def __init__(self, in_channels: int, width: int):
        super().__init__()
        self.hidden = nn.Sequential(conv_lrelu(in_channels, width), *(conv_lrelu(width, width) for _ in range(4)))
        self.output = nn.ConvTranspose2d(width, 5, kernel_size=4, stride=2, padding=1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> residual (B, 5, 2h, 2w) float32, the fifth hidden feature (B, width, h, w)."""
        hidden = self.hidden(inputs)
        return self.output(hidden).float(), hidden


class RatioClassifier(nn.Module):
    """The threshold classifier: from the coarsest motion feature to logits over the candidate ratios."""

    def __init__(self, width: int, candidates: int):
        super().__init__()
        self.conv = conv_lrelu(width, width, stride=2)
        self.linear = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(SLOPE), nn.Linear(width, candidates))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, K)."""
        return self.linear(self.conv(hidden).mean((2, 3)))


class MotionPerceptionNet(nn.Module):
    """MP-Net. `encoder` and `decoder` are widths, finest first; `candidates` the number of ratios to choose from."""

    def __init__(self, encoder: tuple[int, ...], decoder: tuple[int, ...], candidates: int):
        super().__init__()
        self.encoder = FrameEncoder(encoder)
        # Below the coarsest level a decoder also sees the coarser estimate: two flows and the occlusion logit.
        estimate = (5, 5, 5, 0)
        self.decoders = nn.ModuleList(
            FlowDecoder(2 * e + extra, d) for e, d, extra in zip(encoder, decoder, estimate, strict=True)
        )
        self.classifier = RatioClassifier(decoder[-1], candidates)
        self.apply(_kaiming)

    def forward(self, img0: Tensor, img1: Tensor) -> Motion:
        """img0, img1: (B, 3, H, W) in [0, 1], H and W multiples of 16."""
        mean = (_mean(img0) + _mean(img1)) / 2
        dtype = self.encoder.levels[0][0][0].weight.dtype  # type: ignore[index]
        features = self.encoder(torch.cat([img0 - mean, img1 - mean]).to(dtype))

        estimate, hidden = self.decoders[-1](torch.cat(halves(features[-1]), dim=1))
        logits = self.classifier(hidden)
        coarse = []
        for level in LEVELS[1:]:
            coarse.append(estimate)
            flows = torch.cat([estimate[:, :2], estimate[:, 2:4]])
            warped = halves(backward_warp(features[level - 1], flows))
            inputs = concatenate([*warped, estimate], like=features[level - 1])
            residual, _ = self.decoders[level - 1](inputs)
            estimate = residual + _double_estimate(estimate)
        flow_t0, flow_t1, occlusion = estimate.split((2, 2, 1), dim=1)
        kept = tuple(coarse) if torch.is_grad_enabled() else ()
        return Motion(flow_t0, flow_t1, occlusion.sigmoid(), logits.float(), kept)


def _mean(image: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, 1, 1), axis by axis: ONNX Runtime adds value after value, which over a whole frame loses
    digits that the flow feels."""
    for axis in (3, 2, 1):
        image = image.mean(axis, keepdim=True)
    return image


def _double_estimate(estimate: Tensor) -> Tensor:
    """Resize (B, 5, h, w) to twice the size; the four flow channels grow with it, the occlusion logit does not."""
    doubled = F.interpolate(estimate, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.cat([doubled[:, :4] * 2, doubled[:, 4:]], dim=1)


def _kaiming(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
