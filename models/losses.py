"""The training loss of the paper, reconstruction, wavelet and computation terms, and the PSNR. Functions, outside the
network."""

import itertools
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .bands import haar_pyramid
from .results import Interpolation

CENSUS_RADIUS = 3  # 7x7 neighbourhood


class Loss(NamedTuple):
    """Scalars, averaged over the batch, weights included: total is the sum of the others.

    distillation: of a teacher's flow; prediction: of the classifier alone (`classifier_loss`); passes: of the merged
    frames of passes at smaller sizes. The paper has none of them.
    """

    total: Tensor
    reconstruction: Tensor
    wavelet: Tensor
    computation: Tensor
    distillation: Tensor
    prediction: Tensor
    passes: Tensor


def training_loss(
    output: Interpolation, imgt: Tensor, *, wavelet_weight: float = 0.01, computation_weight: float = 3.0
) -> Loss:
    """L = L_rec + L_wav + L_com over the candidates, weighted by their probabilities; both stages.

    Args:
        output: what the network returned. imgt: (B, 3, H, W) the true middle frame, in [0, 1].
    """
    terms = _terms(output, imgt, wavelet_weight, computation_weight)
    rec, wav, com = (output.probs[:, :, None] * terms).sum(1).mean(0)
    zero = torch.zeros_like(rec)
    return Loss(rec + wav + com, rec, wav, com, zero, zero, zero)


def classifier_loss(
    output: Interpolation, imgt: Tensor, *, wavelet_weight: float = 0.01, computation_weight: float = 3.0
) -> Loss:
    """To train the classifier alone: its logits are to tell by how many percent each candidate's loss L_rec + L_wav +
    L_com is below the candidates' mean; the most likely candidate is then the one with the least loss.

    Weighted by probabilities, a candidate that is seldom chosen would have no gradient and never be chosen.
    """
    losses = _terms(output, imgt, wavelet_weight, computation_weight).sum(2).detach()
    percent = 100 * (1 - losses / losses.mean(1, keepdim=True))
    error = ((output.motion.ratio_logits - percent) ** 2).mean()
    zero = torch.zeros_like(error)
    return Loss(error, zero, zero, zero, zero, error, zero)


def _terms(output: Interpolation, imgt: Tensor, wavelet_weight: float, computation_weight: float) -> Tensor:
    """L_rec, L_wav and L_com of every candidate: (B, K, 3)."""
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
    """L_rec per sample (B,): rho(frame - imgt) + census(frame, imgt)."""
    return charbonnier(frame - imgt) + census(frame, imgt)


def charbonnier(difference: Tensor) -> Tensor:
    """rho(d) = mean sqrt(d^2 + 1e-6) per sample: (B, ...) -> (B,)."""
    return (difference.flatten(1) ** 2 + 1e-6).sqrt().mean(1)


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, without rounding the prediction to 8 bits.

    Args:
        prediction, target: (B, 3, H, W) in [0, 1].
    Returns:
        (B,) in dB; infinite where the two images are equal.
    Raises:
        ValueError: shapes that differ or are no batch of RGB images, or values outside [0, 1].
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
    """Soft census distance per sample, no gradient into `target`: two (B, 3, H, W) in [0, 1] -> (B,).

    Every pixel's 48 differences to its 7x7 neighbours, normalised, are compared between the images. Pixels whose
    neighbourhood leaves the image count 0 but stay in the mean. Of two neighbours each is the other's, so 24 directions
    are all there are, one at a time: the pieces stay in the cache.
    """
    height, width = image.shape[-2:]
    if min(height, width) <= 2 * CENSUS_RADIUS:
        return image.flatten(1).sum(1) * 0
    total = cast(Tensor, _CensusSum.apply(image.mean(1), target.detach().mean(1)))
    return total / ((2 * CENSUS_RADIUS + 1) ** 2 * height * width)


class _CensusSum(torch.autograd.Function):
    """The sum of `census` over all neighbours, (B,), of grey images (B, H, W); with its gradient, found on the way.

    Autograd would keep some ten maps for each of the 24 directions. On a CPU one image at a time stays in the cache.
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
