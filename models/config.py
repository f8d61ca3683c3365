"""Which network: widths, candidate ratios, and the form of the synthesis."""

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class Config:
    """Widths (channels, finest level first), candidate threshold ratios, and the form. The defaults are the paper's.

    correction: WS-Net synthesises a correction to the merged frame instead of the frame.
    """

    encoder: tuple[int, ...] = (32, 64, 96, 128)
    decoder: tuple[int, ...] = (64, 128, 160, 192)
    context: tuple[int, ...] = (48, 96, 144, 192)
    synthesis: tuple[int, ...] = (216, 432, 648, 576)
    ratios: tuple[float, ...] = (0.0, 0.005, 0.010, 0.015)
    correction: bool = False

    def __post_init__(self):
        for field in dataclasses.fields(self):  # lists, as they come back from a file, are welcome
            if field.name != "correction":
                object.__setattr__(self, field.name, tuple(getattr(self, field.name)))
        if not self.ratios or not all(math.isfinite(r) and r >= 0 for r in self.ratios):
            raise ValueError(f"candidate ratios must be finite and >= 0, got {self.ratios}")


CONFIGS = {
    "base": Config(),
    # A third of every width, in multiples of 8 (vector registers) where that is close.
    "small": Config(
        encoder=(16, 24, 32, 40),
        decoder=(24, 40, 56, 64),
        context=(16, 32, 48, 64),
        synthesis=(72, 144, 216, 192),
        ratios=(0.0, 7e-5, 2e-4, 5e-4),  # corrections are small
        correction=True,
    ),
}


def find_config(config: Config | str) -> Config:
    """A configuration by name, or as it is. Raises ValueError for another name."""
    if isinstance(config, Config):
        return config
    if config not in CONFIGS:
        raise ValueError(f"config must be one of {', '.join(CONFIGS)}, got {config!r}")
    return CONFIGS[config]


def config_of(content: dict[str, Any], default: Config | str, *, source: str) -> Config:
    """The configuration that a checkpoint carries, else `default`. Raises ValueError, naming `source`."""
    if "config" not in content:
        return find_config(default)
    try:
        return Config(**content["config"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source} carries a configuration that is not of this network: {error}") from error
