"""The training loss of the paper: reconstruction, wavelet and computation terms. Functions, outside the network."""

import itertools
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .bands import haar_pyramid
from .waveletvfi import Interpolation

CENSUS_RADIUS = 3  # 7x7 neighbourhood


class Loss(NamedTuple):
    """Scalars, averaged over the batch, weights included: total is the sum of the others.

    distillation: of a teacher's flow; prediction: of the classifier alone (`classifier_loss`). The paper has neither.
    """

    total: Tensor
    reconstruction: Tensor
    wavelet: Tensor
    computation: Tensor
    distillation: Tensor
    prediction: Tensor


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
    return Loss(rec + wav + com, rec, wav, com, zero, zero)


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
    return Loss(error, zero, zero, zero, zero, error)


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


def census(image: Tensor, target: Tensor) -> Tensor:
    """Soft census distance per sample, no gradient into `target`: two (B, 3, H, W) in [0, 1] -> (B,).

    Every pixel's 48 differences to its 7x7 neighbours, normalised, are compared between the images. Pixels whose
    neighbourhood leaves the image count 0 but stay in the mean. Of two neighbours each is the other's, so 24 directions
    are all there are, one at a time: the pieces stay in the cache.
    """
    height, width = image.shape[-2:]
    r = CENSUS_RADIUS
    if min(height, width) <= 2 * r:
        return image.flatten(1).sum(1) * 0
    grey, true = image.mean(1), target.detach().mean(1)
    counts = F.pad(grey.new_ones(height - 2 * r, width - 2 * r), (r, r, r, r))
    total = torch.zeros_like(grey[:, 0, 0])
    for dy, dx in itertools.product(range(r + 1), range(-r, r + 1)):
        if (dy, dx) > (0, 0):
            here = (..., slice(0, height - dy), slice(max(-dx, 0), width - max(dx, 0)))
            there = (..., slice(dy, height), slice(max(dx, 0), width - max(-dx, 0)))
            square = (_soft_sign(grey[there] - grey[here]) - _soft_sign(true[there] - true[here])) ** 2
            total = total + (square / (0.1 + square) * (counts[here] + counts[there])).sum((1, 2))
    return total / ((2 * r + 1) ** 2 * height * width)


def _soft_sign(difference: Tensor) -> Tensor:
    return difference * (0.81 + difference**2).rsqrt()
