"""The training loss of the paper, with its reconstruction, wavelet and computation terms; and the PSNR."""

import itertools
import math
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .bands import haar_pyramid
from .interface import Interpolation

CENSUS_RADIUS = 3  # 7x7 neighbourhood


class Loss(NamedTuple):
    """The terms of a loss. Each is a scalar, averaged over the batch, with its weight included.

    total: sum of the other terms.
    reconstruction: L_rec of the paper.
    wavelet: L_wav of the paper.
    computation: L_com of the paper.
    distillation: difference from a teacher's flow; not in the paper.
    prediction: error of the classifier alone, see `classifier_loss`; not in the paper.
    passes: error of the merged frames of MP-Net's passes at smaller sizes; not in the paper.
    logarithm: mean of the logarithms of the samples' squared errors, see `log_error`; not in the paper.
    """

    total: Tensor
    reconstruction: Tensor
    wavelet: Tensor
    computation: Tensor
    distillation: Tensor
    prediction: Tensor
    passes: Tensor
    logarithm: Tensor


def training_loss(
    output: Interpolation, imgt: Tensor, *, wavelet_weight: float = 0.01, computation_weight: float = 3.0
) -> Loss:
    """Compute L = L_rec + L_wav + L_com over the candidates, weighted by their probabilities. Both stages use it.

    Args:
        output: the network's output.
        imgt: (B, 3, H, W) the true middle frame, in [0, 1].
        wavelet_weight: weight of L_wav; default: the paper's.
        computation_weight: weight of L_com; default: the paper's.
    """
    terms = _terms(output, imgt, wavelet_weight, computation_weight)
    rec, wav, com = (output.probs[:, :, None] * terms).sum(1).mean(0)
    zero = torch.zeros_like(rec)
    return Loss(rec + wav + com, rec, wav, com, zero, zero, zero, zero)


def classifier_loss(output: Interpolation, imgt: Tensor, *, cost_weight: float) -> Loss:
    """Compute a loss that trains the classifier alone.

    Each logit learns its candidate's PSNR minus `cost_weight` times its cost, less the mean over the candidates. The
    most likely candidate is then the best one. A loss weighted by probabilities would give no gradient to a candidate
    that is seldom chosen.

    Args:
        output: the network's output.
        imgt: (B, 3, H, W) the true middle frame, in [0, 1].
        cost_weight: the PSNR in dB that all of the sparse convolutions' operations are worth.
    """
    decibels = -10 / math.log(10) * torch.stack([log_error(one.frame, imgt) for one in output.candidates], dim=1)
    values = decibels.detach() - cost_weight * torch.stack([one.cost for one in output.candidates], dim=1)
    # Few pairs lose several dB. A squared error would see these alone.
    error = F.smooth_l1_loss(output.motion.ratio_logits, values - values.mean(1, keepdim=True), beta=0.1)
    zero = torch.zeros_like(error)
    return Loss(error, zero, zero, zero, zero, error, zero, zero)


def _terms(output: Interpolation, imgt: Tensor, wavelet_weight: float, computation_weight: float) -> Tensor:
    """Return L_rec, L_wav and L_com of every candidate, (B, K, 3)."""
    lows, highs = haar_pyramid(imgt)
    terms = []
    for candidate in output.candidates:
        rec = reconstruction(candidate.frame, imgt)
        bands = zip([candidate.low, *candidate.highs], [lows[-1], *highs], strict=True)
        wav = wavelet_weight * cast(Tensor, sum(charbonnier(ours - true) for ours, true in bands))
        com = computation_weight * rec.detach() * candidate.cost
        terms.append(torch.stack([rec, wav, com], dim=1))
    return torch.stack(terms, dim=1)


def reconstruction(frame: Tensor, imgt: Tensor) -> Tensor:
    """Compute L_rec = rho(frame - imgt) + census(frame, imgt) per sample: two (B, 3, H, W) in [0, 1] -> (B,)."""
    return charbonnier(frame - imgt) + census(frame, imgt)


def charbonnier(difference: Tensor) -> Tensor:
    """Compute rho(d) = mean sqrt(d^2 + 1e-6) per sample: (B, ...) -> (B,)."""
    return (difference.flatten(1) ** 2 + 1e-6).sqrt().mean(1)


def log_error(frame: Tensor, imgt: Tensor) -> Tensor:
    """Compute log(mean (frame - imgt)^2 + 1e-5) per sample: two (B, 3, H, W) in [0, 1] -> (B,).

    Its mean over samples is a mean PSNR in another unit. Each sample counts by the share of its error that is saved. In
    a mean of errors, samples that no network can predict count most.
    """
    return ((frame - imgt).square().flatten(1).mean(1) + 1e-5).log()


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio, without rounding the prediction to 8 bits.

    Args:
        prediction, target: (B, 3, H, W) in [0, 1].
    Returns:
        (B,) in dB; infinite if the two images are equal.
    Raises:
        ValueError: the shapes differ or are not (B, 3, H, W), or values lie outside [0, 1].
    """
    prediction, target = check_pair(prediction, target)
    return -10 * (prediction - target).square().mean((1, 2, 3)).log10()


def check_pair(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return two batches of images (B, 3, H, W) in float32. Raises ValueError as `psnr` does."""
    if prediction.shape != target.shape or prediction.dim() != 4 or prediction.shape[1] != 3:
        raise ValueError(
            "two batches of RGB images of the same shape (B, 3, H, W) are needed, "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    for name, image in (("prediction", prediction), ("target", target)):
        low, high = image.min().item(), image.max().item()
        if not (low >= 0 and high <= 1):
            raise ValueError(
                f"the {name} must lie in [0, 1], got values from {low:g} to {high:g}; divide by 255 or clamp"
            )
    return prediction.float(), target.float()


def census(image: Tensor, target: Tensor) -> Tensor:
    """Compute the soft census distance per sample: two (B, 3, H, W) in [0, 1] -> (B,). `target` gets no gradient.

    The distance compares each pixel's normalised differences to its 48 neighbours in a 7x7 window. A pixel whose window
    leaves the image counts as 0 in the mean. Each pair of neighbours is computed once, so there are 24 directions. They
    are computed one at a time, so that the data stays in the processor's cache.
    """
    height, width = image.shape[-2:]
    if min(height, width) <= 2 * CENSUS_RADIUS:
        return image.flatten(1).sum(1) * 0
    total = cast(Tensor, _CensusSum.apply(image.mean(1), target.detach().mean(1)))
    return total / ((2 * CENSUS_RADIUS + 1) ** 2 * height * width)


class _CensusSum(torch.autograd.Function):
    """The sum of `census` over all neighbours, (B,), of grey images (B, H, W). It computes its gradient on the way.

    Autograd would keep about ten maps for each of the 24 directions. On a CPU, images are processed one at a time, so
    that they stay in the cache.
    """

    @staticmethod
    def forward(ctx: Any, grey: Tensor, true: Tensor) -> Tensor:
        gradient = torch.zeros_like(grey) if ctx.needs_input_grad[0] else None
        total = torch.zeros_like(grey[:, 0, 0])
        height, width = grey.shape[-2:]
        r, size = CENSUS_RADIUS, 1 if grey.device.type == "cpu" else len(grey)
        inside = F.pad(grey.new_ones(height - 2 * r, width - 2 * r), (r, r, r, r))
        for dy, dx in itertools.product(range(r + 1), range(-r, r + 1)):
            if (dy, dx) <= (0, 0):
                continue
            here = (..., slice(0, height - dy), slice(max(-dx, 0), width - max(dx, 0)))
            there = (..., slice(dy, height), slice(max(dx, 0), width - max(-dx, 0)))
            counts = inside[here] + inside[there]
            for first in range(0, len(grey), size):
                part = slice(first, first + size)
                ours, theirs = grey[part], true[part]
                difference, goal = ours[there] - ours[here], theirs[there] - theirs[here]
                root = (difference**2).add_(0.81).rsqrt_()
                error = (difference * root).sub_(goal * (goal**2).add_(0.81).rsqrt_())
                square = error**2
                inverse = (square + 0.1).reciprocal_()
                total[part] += square.mul_(inverse).mul_(counts).sum((1, 2))
                if gradient is not None:
                    # With e the error: d(e^2 / (0.1 + e^2)) = 0.2 e / (0.1 + e^2)^2 de, de = 0.81 root^3 d(difference).
                    change = error.mul_(inverse.square_()).mul_(root**3).mul_(counts).mul_(0.2 * 0.81)
                    gradient[part][there] += change
                    gradient[part][here] -= change
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[:, None, None], None
