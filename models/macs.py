"""Count the operations of a frame: as the published tables do, and as they are really executed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .bands import dilate
from .motion import CORRELATED_LEVEL, LATER_LEVELS

LEVELS = 4
Count = Callable[[nn.Module, int], int]  # counts the operations of a layer that puts out so many pixels


def published_gmacs(
    model: Any,
    height: int,
    width: int,
    masks: list[Tensor] | None = None,
    *,
    scales: Sequence[int] | None = None,
) -> Tensor:
    """Count the operations for one pair of frames, by the rules of the published tables.

    - A convolution counts outputs * (inputs * k^2 + 1). A transposed convolution counts the same, 4 times too many.
    - A sparse convolution counts the same, times the mean of its mask. The LeakyReLU after it counts everywhere.
    - A linear layer counts inputs * outputs, LeakyReLU its elements, pooling outputs * (window + 1).
    - Wavelets, warps and resizing do not count.

    Args:
        model: a `WaveletVFI` of any configuration.
        height, width: size of the frames in pixels, rounded up to multiples of 16 as `interpolate` does.
        masks: 3 x (B, 1, H/2^l, W/2^l), as `Synthesis.masks`. Default: every pixel is active.
        scales: scales of MP-Net's passes, see `models.config`. Default: those that the network chooses.
    Returns:
        (B,) float64 on the CPU, in units of 10^9; (1,) without masks.
    Raises:
        ValueError: the frames have no pixels, or the masks have another number or size.
    """
    if height < 1 or width < 1:
        raise ValueError(f"frames need at least one pixel, got {height}x{width}")
    sizes = _sizes(height, width)
    if masks is None:
        masks = [torch.ones(1, 1, *size) for size in sizes[1:LEVELS]]
    if [tuple(mask.shape[1:]) for mask in masks] != [(1, *size) for size in sizes[1:LEVELS]]:
        raise ValueError(
            f"masks for {height}x{width} frames must be (B, 1, h, w) with h x w {sizes[1:LEVELS]}, finest first, "
            f"got {[tuple(mask.shape) for mask in masks]}"
        )
    pixels = [h * w for h, w in sizes]
    return (_around(model, sizes, _published, scales) + _sparse(model, pixels, masks)) / 1e9


def executed_gmacs(
    model: Any,
    height: int,
    width: int,
    executed: Tensor,
    *,
    encoded: int = 2,
    matched: bool = True,
    scales: Sequence[int] | None = None,
) -> Tensor:
    """Count the multiply-accumulates of all convolutions, linear layers and matrix products that were computed.

    Additions (of biases, transforms, wavelets), warps and resizing do not count.

    Args:
        model, height, width, scales: as in `published_gmacs`.
        executed: (B,) as `Synthesis.executed`.
        encoded: number of frames, 0 to 2, whose context features were computed.
        matched: True if MP-Net's features of the pair were computed.
    Returns:
        (B,) float64 on the CPU, in units of 10^9.
    """
    sizes = _sizes(height, width)
    sparse = executed.cpu().double() * model.synthesis.costs.dense_products() * sizes[0][0] * sizes[0][1]
    return (_around(model, sizes, _products, scales, encoded, matched) + sparse) / 1e9


def dense_gmacs(model: Any, height: int, width: int) -> float:
    """Count the multiply-accumulates for a pair if all details are computed (ratio 0) and no features are known.

    Args:
        model, height, width: as in `published_gmacs`.
    Returns:
        The number in units of 10^9.
    """
    net = model.synthesis
    levels = range(1, LEVELS)
    products = sum(4.0**-level * sum(conv.products("folded") for conv in net.convolutions(level)) for level in levels)
    return executed_gmacs(model, height, width, torch.full((1,), products / net.costs.dense_products())).item()


def _sizes(height: int, width: int, depth: int = LEVELS) -> list[tuple[int, int]]:
    """Return height and width of the levels 0 to `depth`, for a frame that is padded to multiples of 2^depth."""
    padded = [-(-side // 2**depth) * 2**depth for side in (height, width)]
    return [(padded[0] >> level, padded[1] >> level) for level in range(depth + 1)]


def _around(
    model: Any,
    sizes: list[tuple[int, int]],
    count: Count,
    scales: Sequence[int] | None,
    encoded: int = 2,
    matched: bool = True,
) -> int:
    """Count all parts that are not sparse. `encoded` and `matched` are as in `executed_gmacs`."""
    height, width = sizes[0]
    pixels = [h * w for h, w in sizes]
    total = _motion(model, height, width, model.scales(height, width) if scales is None else scales, count, matched)
    pyramids = zip(model.context.frames.levels, model.context.merged.levels, pixels[1:], strict=True)
    total += sum(encoded * count(frames, size) + count(merged, size) for frames, merged, size in pyramids)
    net = model.synthesis
    coarsest = (net.coarsest, net.low_head, net.high_heads[LEVELS - 1])  # level 4 of WS-Net, which is dense
    return total + sum(count(part, pixels[LEVELS]) for part in coarsest)


def _motion(model: Any, height: int, width: int, scales: Sequence[int], count: Count, matched: bool) -> int:
    """Count all passes of MP-Net. Its encoder sees both frames, or none if their features were known."""
    total = judged = 0
    for number, scale in enumerate(scales):
        depth = LEVELS if scale == scales[0] else len(LATER_LEVELS)
        sizes = _sizes(-(-height // 2**scale), -(-width // 2**scale), depth)
        pixels = [h * w for h, w in sizes]
        for level in range(1, 1 + (len(LATER_LEVELS) if number else LEVELS)):
            encoder, decoder = model.motion.encoder.levels[level - 1], model.motion.decoders[level - 1]
            if not number or scale != scales[number - 1]:  # a repeated pass has the features of the one before
                total += 2 * matched * count(encoder, pixels[level])
            total += count(decoder.hidden, pixels[level]) + count(decoder.output, pixels[level - 1])
        if not number and model.config.correlation:
            matches = (2 * model.config.correlation + 1) ** 2
            total += matches * model.config.encoder[CORRELATED_LEVEL - 1] * pixels[CORRELATED_LEVEL]
        if not number or model.config.classifier_level in LATER_LEVELS:
            judged = _classifier(model.motion.classifier, sizes[model.config.classifier_level], count)
    return total + judged  # the classifier reads the last pass that has its level


def _classifier(classifier: Any, size: tuple[int, int], count: Count) -> int:
    """Count the classifier, for a feature of this size."""
    pooled = -(-size[0] // 2) * -(-size[1] // 2)  # stride 2 leaves half of each side, rounded up
    pooling = classifier.linear[0].in_features * (pooled + 1) if count is _published else 0
    return count(classifier.conv, pooled) + pooling + count(classifier.linear, 1)


def _sparse(model: Any, pixels: list[int], masks: list[Tensor]) -> Tensor:
    """Count WS-Net's levels 3 to 1, (B,) float64."""
    total = torch.zeros(len(masks[0]), dtype=torch.float64)
    for level, mask in enumerate(masks, 1):
        conv, head = model.synthesis.convolutions(level)
        halo_mean, mask_mean = (m.mean((1, 2, 3)).cpu().double() for m in (dilate(mask), mask))
        activation = conv.out_channels * pixels[level]
        total += halo_mean * _published(conv, pixels[level]) + activation + mask_mean * _published(head, pixels[level])
    return total


def _published(part: nn.Module, pixels: int) -> int:
    """Count the operations of the layers in `part` by the published rules. All layers put out `pixels` pixels."""
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


def _products(part: nn.Module, pixels: int) -> int:
    """Count the multiply-accumulates of the layers in `part`. All layers put out `pixels` pixels."""
    total = 0
    for layer in part.modules():
        if isinstance(layer, nn.Conv2d):
            total += pixels * layer.weight.numel()
        elif isinstance(layer, nn.ConvTranspose2d):
            total += pixels * layer.weight.numel() // (layer.stride[0] * layer.stride[1])
        elif isinstance(layer, nn.Linear):
            total += layer.weight.numel()
    return total
