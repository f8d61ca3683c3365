"""Load weights into a network, and save them."""

import dataclasses
import os
from typing import Any

from torch import Tensor, nn

import utils


def load_weights(model: nn.Module, weights: dict[str, Tensor], *, source: str) -> None:
    """Load a state dict with our names or the released ones. All names and shapes must fit.

    Args:
        model: the network.
        weights: the state dict.
        source: name of the file for error messages.
    Raises:
        ValueError: weights are not finite, or do not fit.
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
    """Write a network to a file that `waveletvfi(path)` reads. The suffix chooses the format: .pth or .safetensors.

    Raises:
        OSError: the file cannot be written.
        ValueError: the package safetensors is missing.
    """
    utils.save_checkpoint(path, checkpoint_of(model.state_dict(), model.config))


def checkpoint_of(weights: dict[str, Tensor], config: Any) -> dict[str, Any]:
    """Return weights and their configuration as one checkpoint, which `utils.save_checkpoint` writes."""
    return {"model": weights, "config": dataclasses.asdict(config)}
