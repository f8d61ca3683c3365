"""The configuration of a network: widths, candidate ratios, the form of the synthesis, and the passes of MP-Net.

A pass is one run of MP-Net. It finds motion of about 16 pixels at the size that it runs at. Therefore the first pass
runs on smaller frames, such as those of a quarter of the size, which hold larger motion. Each later pass refines the
estimate on frames twice as large, or on the same frames once more: a second look finds motion that the first one
missed, and takes almost no time on small frames. One pass at full size is the published network. The loop over the
passes is in `models.motion.MotionPerceptionNet`.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

LARGEST_RADIUS = 8  # pixels
AUTO = "auto"  # choose the passes by the frame's size
MOST_PASSES = 7
MOST_REPEATS = 8
COARSE = 2  # a pass is coarse if its scale is larger than that of the last pass by at least this
MOST, LEAST = 960 * 540, 1700  # "auto": most pixels of the last pass's frames, fewest pixels of the first pass's
Passes = int | str | tuple[int, ...]  # a number, "auto", or scales
Scales = tuple[int, ...]  # scales of the passes, coarse to fine; scale s stands for frames of 1/2^s of the size


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
    passes: default number of MP-Net's passes from coarse to fine, "auto", or scales; see `scales_of`.
    repeats: number of times that "auto" runs each coarse pass. A pass is coarse if its frames have at most a quarter of
        the size of the last pass's frames.
    classifier_level: level, 1 to 4, whose last feature the classifier reads: that of the last pass that has this level.
        Level 4, as in the paper, belongs to the first pass alone. Level 1 of the last pass sees fine details and noise.

    Raises:
        ValueError: ratios, correlation, passes, repeats or classifier_level out of range.
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
    repeats: int = 1
    classifier_level: int = 4

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
        if not isinstance(self.repeats, int) or not 1 <= self.repeats <= MOST_REPEATS:
            raise ValueError(f"repeats must be a whole number from 1 to {MOST_REPEATS}, got {self.repeats!r}")
        if self.classifier_level not in (1, 2, 3, 4):
            raise ValueError(f"classifier_level must be 1, 2, 3 or 4, got {self.classifier_level!r}")


def check_passes(passes: Passes) -> None:
    """Raise ValueError unless `passes` is "auto", a whole number from 1 to 7, or scales from coarse to fine."""
    if isinstance(passes, tuple):
        if not are_scales(passes):
            raise ValueError(f"scales must fall by one from pass to pass, or stay, such as (2, 2, 1, 0), got {passes}")
        return
    is_number = isinstance(passes, int) and not isinstance(passes, bool) and 1 <= passes <= MOST_PASSES
    if passes != AUTO and not is_number:
        raise ValueError(f'passes must be "auto" or a whole number from 1 to {MOST_PASSES}, got {passes!r}')


def are_scales(scales: Sequence[int]) -> bool:
    """Return True if there are scales from 0 to 6, each of which is equal to the one before or one less."""
    steps = [before - scale for before, scale in itertools.pairwise(scales)]
    return bool(scales) and scales[-1] >= 0 and scales[0] < MOST_PASSES and all(step in (0, 1) for step in steps)


def scales_of(passes: Passes, height: int, width: int, repeats: int = 1) -> Scales:
    """Return the scales of the passes for frames of this size.

    Args:
        passes: the largest number of passes, of which the last is at full size; passes on frames that are too small to
            show motion are left out. "auto": choose by the frame's size. Scales are returned as they are.
        height, width: size of the frames in pixels.
        repeats: number of times that "auto" runs each coarse pass, see `Config`.
    Raises:
        ValueError: `passes` is none of these, see `check_passes`.
    """
    check_passes(passes)
    if isinstance(passes, tuple):
        return passes
    if passes == AUTO:
        return repeated(range(_coarsest(height, width), _finest(height, width) - 1, -1), repeats)
    return full_scales(min(int(passes), _coarsest(height, width) + 1))


def repeated(scales: Sequence[int], repeats: int) -> Scales:
    """Return scales with each coarse one `repeats` times."""
    return tuple(scale for scale in scales for _ in range(repeats if scale >= scales[-1] + COARSE else 1))


def full_scales(count: int) -> Scales:
    """Return the scales of `count` passes, of which the last is at full size."""
    return tuple(range(count - 1, -1, -1))


def _finest(height: int, width: int) -> int:
    """Return the finest scale of "auto": frames have at most 960x540 pixels.

    At 1280x720, a pass at full size costs as much as all other work, and gains 0.2 dB (checkpoints/TRAINING.md).
    """
    return sum(height * width >> 2 * scale > MOST for scale in range(MOST_PASSES - 1))


def _coarsest(height: int, width: int) -> int:
    """Return the coarsest scale whose frames still show motion. Smaller frames lost 2 dB on 448x256."""
    return max(scale for scale in range(MOST_PASSES) if scale == 0 or height * width >> 2 * scale >= LEAST)


CONFIGS = {
    "base": Config(),
    # Most channels belong to the motion, which decides about the frame; the synthesis only corrects (TRAINING.md). The
    # wide coarse levels take no noticeable time, as they have few pixels.
    "small": Config(
        encoder=(16, 32, 64, 96),
        decoder=(32, 64, 128, 192),
        context=(16, 32, 48, 64),
        synthesis=(64, 80, 112, 96),
        ratios=(0.0, 2e-4, 5e-4, 2e-3),  # small, as corrections are
        correction=True,
        any_time=True,
        correlation=3,
        passes="auto",
        repeats=2,
        classifier_level=1,
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
