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

    distillation: of a teacher's flow, which the paper has not; 0 without one.
    """

    total: Tensor
    reconstruction: Tensor
    wavelet: Tensor
    computation: Tensor
    distillation: Tensor


def training_loss(
    output: Interpolation, imgt: Tensor, *, wavelet_weight: float = 0.01, computation_weight: float = 3.0
) -> Loss:
    """L = L_rec + L_wav + L_com over the candidates, weighted by their probabilities; both stages.

    Args:
        output: what the network returned. imgt: (B, 3, H, W) the true middle frame, in [0, 1].
    """
    lows, highs = haar_pyramid(imgt)
    terms = []  # (3, B) per candidate
    for candidate in output.candidates:
        rec = reconstruction(candidate.frame, imgt)
        bands = zip([candidate.low, *candidate.highs], [lows[-1], *highs], strict=True)
        wav = wavelet_weight * cast(Tensor, sum(charbonnier(ours - true) for ours, true in bands))
        com = computation_weight * rec.detach() * candidate.cost
        terms.append(torch.stack([rec, wav, com]))
    weighted = cast(Tensor, sum(p * term for p, term in zip(output.probs.unbind(1), terms, strict=True)))
    rec, wav, com = weighted.mean(1)
    return Loss(rec + wav + com, rec, wav, com, torch.zeros_like(rec))


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
