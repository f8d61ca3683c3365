"""The configuration of a network: widths, candidate ratios, and the form of the synthesis."""

import dataclasses
import math
from typing import Any

from .passes import Passes, check_passes

LARGEST_RADIUS = 8  # pixels


@dataclasses.dataclass(frozen=True)
class Config:
    """The configuration of a network. The defaults are the paper's. Widths are channels, finest level first.

    encoder: four widths of MP-Net's features.
    decoder: four widths of MP-Net's decoders.
    context: four widths of the context features.
    synthesis: four widths of WS-Net's features.
    ratios: candidate threshold ratios, among which the classifier chooses.
    correction: WS-Net synthesises a correction to the merged frame instead of the frame.
    any_time: the network makes frames at any time between the two, not at the middle alone.
    correlation: radius of the local correlation that MP-Net's coarsest decoder sees, in pixels of its level; 0: none.
    passes: default number of MP-Net's passes from coarse to fine, "auto", or scales; see `models.passes`.

    Raises:
        ValueError: ratios, correlation or passes out of range.
    """

    encoder: tuple[int, ...] = (32, 64, 96, 128)
    decoder: tuple[int, ...] = (64, 128, 160, 192)
    context: tuple[int, ...] = (48, 96, 144, 192)
    synthesis: tuple[int, ...] = (216, 432, 648, 576)
    ratios: tuple[float, ...] = (0.0, 0.005, 0.010, 0.015)
    correction: bool = False
    any_time: bool = False
    correlation: int = 0
    passes: Passes = 1

    def __post_init__(self):
        for name in ("encoder", "decoder", "context", "synthesis", "ratios"):  # a file gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if isinstance(self.passes, list):
            object.__setattr__(self, "passes", tuple(self.passes))
        if not self.ratios or not all(math.isfinite(r) and r >= 0 for r in self.ratios):
            raise ValueError(f"candidate ratios must be finite and >= 0, got {self.ratios}")
        if not isinstance(self.correlation, int) or not 0 <= self.correlation <= LARGEST_RADIUS:
            raise ValueError(f"correlation must be a radius from 0 to {LARGEST_RADIUS}, got {self.correlation!r}")
        check_passes(self.passes)


CONFIGS = {
    "base": Config(),
    # Most channels belong to the motion, which decides about the frame; the synthesis only corrects (TRAINING.md).
    "small": Config(
        encoder=(16, 32, 40, 56),
        decoder=(32, 64, 80, 96),
        context=(16, 32, 48, 64),
        synthesis=(32, 64, 96, 96),
        ratios=(0.0, 7e-5, 2e-4, 5e-4),  # small, as corrections are
        correction=True,
        any_time=True,
        correlation=3,
        passes="auto",
    ),
}


def find_config(config: Config | str) -> Config:
    """Return the configuration of this name; return a `Config` as it is. Raises ValueError for an unknown name."""
    if isinstance(config, Config):
        return config
    if config not in CONFIGS:
        raise ValueError(f"config must be one of {', '.join(CONFIGS)}, got {config!r}")
    return CONFIGS[config]


def config_of(content: dict[str, Any], default: Config | str, *, source: str) -> Config:
    """Return the configuration that a checkpoint contains, or `default` if it contains none.

    Args:
        content: the content of the checkpoint.
        default: a configuration or its name.
        source: name of the checkpoint for error messages.
    Raises:
        ValueError: the checkpoint contains a configuration of another network, or `default` is unknown.
    """
    if "config" not in content:
        return find_config(default)
    try:
        return Config(**content["config"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source} contains a configuration of another network: {error}") from error
