"""Computation per frame, counted as the published tables count it, from the layers and the masks alone."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import WaveletVFI

LEVELS = 4


def published_gmacs(model: WaveletVFI, height: int, width: int, masks: list[Tensor] | None = None) -> Tensor:
    """Operations that interpolating one pair of frames takes, by the rules of the published tables.

    A convolution counts outputs * (inputs * k^2 + 1), a transposed one the same (which is 4 times too many), a linear
    layer inputs * outputs, LeakyReLU its elements, pooling outputs * (window + 1). A sparse convolution counts times
    the mean of its mask, but the LeakyReLU behind it counts everywhere. Wavelets, warps and resizing do not count.

    Args:
        model: any configuration.
        height, width: of the frames; rounded up to multiples of 16 as `interpolate` does.
        masks: 3 x (B, 1, H/2^l, W/2^l), as `Synthesis.masks`. Default: active everywhere.
    Returns:
        (B,) float64 on the CPU, in units of 10^9; (1,) without masks.
    Raises:
        ValueError: frames without pixels, or masks of another number or size.
    """
    if height < 1 or width < 1:
        raise ValueError(f"frames need at least one pixel, got {height}x{width}")
    sizes = [(-(-height // 16) * 16 >> level, -(-width // 16) * 16 >> level) for level in range(LEVELS + 1)]
    if masks is None:
        masks = [torch.ones(1, 1, *size) for size in sizes[1:LEVELS]]
    if [tuple(mask.shape[1:]) for mask in masks] != [(1, *size) for size in sizes[1:LEVELS]]:
        raise ValueError(
            f"masks for {height}x{width} frames must be (B, 1, h, w) with h x w {sizes[1:LEVELS]}, finest first, "
            f"got {[tuple(mask.shape) for mask in masks]}"
        )
    pixels = [h * w for h, w in sizes]
    dense = _motion(model, sizes) + _context(model, pixels) + _coarsest(model, pixels)
    return (dense + _sparse(model, pixels, masks)) / 1e9


def _motion(model: WaveletVFI, sizes: list[tuple[int, int]]) -> int:
    """MP-Net; its encoder sees both frames."""
    pixels = [h * w for h, w in sizes]
    total = sum(2 * _dense(part, pixels[level]) for level, part in enumerate(model.motion.encoder.levels, 1))
    for level, decoder in enumerate(model.motion.decoders, 1):
        total += _dense(decoder.hidden, pixels[level]) + _dense(decoder.output, pixels[level - 1])
    classifier = model.motion.classifier
    pooled = -(-sizes[-1][0] // 2) * -(-sizes[-1][1] // 2)  # stride 2 leaves half of each side, rounded up
    pooling = classifier.linear[0].in_features * (pooled + 1)
    return total + _dense(classifier.conv, pooled) + pooling + _dense(classifier.linear, 1)


def _context(model: WaveletVFI, pixels: list[int]) -> int:
    """The context encoder; its first pyramid sees both frames."""
    pyramids = enumerate(zip(model.context.frames.levels, model.context.merged.levels, strict=True), 1)
    return sum(
        2 * _dense(frames, pixels[level]) + _dense(merged, pixels[level]) for level, (frames, merged) in pyramids
    )


def _coarsest(model: WaveletVFI, pixels: list[int]) -> int:
    """WS-Net's level 4, which is dense."""
    net = model.synthesis
    return sum(_dense(part, pixels[LEVELS]) for part in (net.coarsest, net.low_head, net.high_heads[LEVELS - 1]))


def _sparse(model: WaveletVFI, pixels: list[int], masks: list[Tensor]) -> Tensor:
    """WS-Net's levels 3 to 1, (B,) float64."""
    total = torch.zeros(len(masks[0]), dtype=torch.float64)
    for level, mask in enumerate(masks, 1):
        conv, head = model.synthesis.levels[level - 1], model.synthesis.high_heads[level - 1]
        halo = F.max_pool2d(mask, 3, stride=1, padding=1)
        halo_mean, mask_mean = (m.mean((1, 2, 3)).cpu().double() for m in (halo, mask))
        activation = conv.out_channels * pixels[level]
        total += halo_mean * _dense(conv, pixels[level]) + activation + mask_mean * _dense(head, pixels[level])
    return total


def _dense(part: nn.Module, pixels: int) -> int:
    """Operations of the layers in `part`, all of which put out `pixels` pixels."""
    total = channels = 0
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            channels = layer.out_channels
            total += channels * pixels * (layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1] + 1)
        elif isinstance(layer, nn.Linear):
            channels = layer.out_features
            total += channels * layer.in_features
        elif isinstance(layer, nn.LeakyReLU):
            total += channels * pixels
    return total
