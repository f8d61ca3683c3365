"""The training loss of the paper: reconstruction, wavelet and computation terms. Functions, outside the network."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .synthesis import haar_pyramid
from .waveletvfi import Interpolation

CENSUS_RADIUS = 3  # 7x7 neighbourhood


class Loss(NamedTuple):
    """Scalars, averaged over the batch: total = reconstruction + wavelet + computation, weights included."""

    total: Tensor
    reconstruction: Tensor
    wavelet: Tensor
    computation: Tensor


def training_loss(
    output: Interpolation, imgt: Tensor, *, wavelet_weight: float = 0.01, computation_weight: float = 3.0
) -> Loss:
    """L = L_rec + L_wav + L_com over the candidates, weighted by their probabilities; both stages.

    Args:
        output: what the network returned. imgt: (B, 3, H, W) the true middle frame, in [0, 1].
    """
    low, highs = haar_pyramid(imgt)[0][-1], haar_pyramid(imgt)[1]
    terms = []  # (3, B) per candidate
    for candidate in output.candidates:
        rec = reconstruction(candidate.frame, imgt)
        bands = zip([candidate.low, *candidate.highs], [low, *highs], strict=True)
        wav = wavelet_weight * sum(charbonnier(ours - true) for ours, true in bands)
        com = computation_weight * rec.detach() * candidate.cost
        terms.append(torch.stack([rec, wav, com]))
    weighted = sum(p * term for p, term in zip(output.probs.unbind(1), terms, strict=True))
    means = weighted.mean(1)
    return Loss(means.sum(), *means)


def reconstruction(frame: Tensor, imgt: Tensor) -> Tensor:
    """L_rec per sample (B,): rho(frame - imgt) + census(frame, imgt)."""
    return charbonnier(frame - imgt) + census(frame, imgt)


def charbonnier(difference: Tensor) -> Tensor:
    """rho(d) = mean sqrt(d^2 + 1e-6) per sample: (B, ...) -> (B,)."""
    return (difference.flatten(1) ** 2 + 1e-6).sqrt().mean(1)


def census(image: Tensor, target: Tensor) -> Tensor:
    """Soft census distance per sample, no gradient into `target`: two (B, 3, H, W) in [0, 1] -> (B,)."""
    difference = (_census_transform(image) - _census_transform(target.detach())) ** 2
    distance = (difference / (0.1 + difference)).mean(1)  # over the 49 neighbours
    height, width = distance.shape[-2:]
    # Pixels whose neighbourhood leaves the image count 0 but stay in the mean.
    inner = distance[:, CENSUS_RADIUS : height - CENSUS_RADIUS, CENSUS_RADIUS : width - CENSUS_RADIUS]
    return inner.sum((1, 2)) / (height * width)


def _census_transform(image: Tensor) -> Tensor:
    """Normalised differences of the 7x7 neighbours to their centre: (B, 3, H, W) -> (B, 49, H, W)."""
    grey = image.mean(1, keepdim=True)
    size = 2 * CENSUS_RADIUS + 1
    padded = F.pad(grey, [CENSUS_RADIUS] * 4)
    neighbours = padded.unfold(2, size, 1).unfold(3, size, 1).flatten(4)[:, 0]  # (B, H, W, 49)
    difference = neighbours.permute(0, 3, 1, 2) - grey
    return difference / (0.81 + difference**2).sqrt()
