"""The training loss of the paper: reconstruction, wavelet and computation terms. Functions, outside the network."""

import itertools
from typing import NamedTuple, cast

import torch
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
    neighbourhood leaves the image count 0 but stay in the mean. One neighbour at a time: the pieces stay in the cache.
    """
    height, width = image.shape[-2:]
    if min(height, width) <= 2 * CENSUS_RADIUS:
        return image.flatten(1).sum(1) * 0
    grey, true = image.mean(1), target.detach().mean(1)
    inner, total = _shifted(grey, 0, 0), torch.zeros_like(grey[:, :1, :1])
    offsets = range(-CENSUS_RADIUS, CENSUS_RADIUS + 1)
    for dy, dx in itertools.product(offsets, offsets):
        if (dy, dx) != (0, 0):
            ours = _soft_sign(_shifted(grey, dy, dx) - inner)
            theirs = _soft_sign(_shifted(true, dy, dx) - _shifted(true, 0, 0))
            square = (ours - theirs) ** 2
            total = total + square / (0.1 + square)
    return total.sum((1, 2)) / (len(offsets) ** 2 * height * width)


def _shifted(grey: Tensor, dy: int, dx: int) -> Tensor:
    """The neighbour at (dx, dy) of every inner pixel: (B, H, W) -> (B, H - 6, W - 6)."""
    r, (height, width) = CENSUS_RADIUS, grey.shape[-2:]
    return grey[:, r + dy : height - r + dy, r + dx : width - r + dx]


def _soft_sign(difference: Tensor) -> Tensor:
    return difference * (0.81 + difference**2).rsqrt()
