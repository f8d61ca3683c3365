"""A network's weights: into it, strictly, and out of it."""

import dataclasses
import os
from typing import Any

from torch import Tensor, nn

import utils


def load_weights(model: nn.Module, weights: dict[str, Tensor], *, source: str) -> None:
    """Load a state dict (our names or the released ones) strictly; `source` names it in errors.

    Raises:
        ValueError: weights that are not finite, or do not fit.
    """
    broken = [name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise ValueError(f"{source}: NaN or infinite weights in {', '.join(broken[:3])}; use an earlier checkpoint")
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise ValueError(
            f"{source} does not fit this network ({model.config}): {' '.join(lines)[:600]} "
            "(a file of another project, or weights of another configuration: see --config)"
        ) from error


def save_weights(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a network as `waveletvfi(path)` reads it, in the format that the suffix says: .pth or .safetensors.

    Raises:
        OSError, ValueError: as `utils.save_checkpoint`.
    """
    utils.save_checkpoint(path, checkpoint_of(model.state_dict(), model.config))


def checkpoint_of(weights: dict[str, Tensor], config: Any) -> dict[str, Any]:
    """Weights and their configuration, as `utils.save_checkpoint` takes and `waveletvfi` reads them."""
    return {"model": weights, "config": dataclasses.asdict(config)}
