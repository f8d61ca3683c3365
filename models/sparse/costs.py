"""Estimate the time of a sparse level if tiles are gathered, relative to the folded convolution of the whole level.

`python benchmark/speed.py --tune` measures a machine and prints the rows of the table. Nothing is measured when the
network runs, so the same machine and input always give the same bytes.
"""

import functools
from typing import NamedTuple

import torch


class Row(NamedTuple):
    """The time of one level, with its context and head, relative to the time of the folded convolution.

    width: output channels of the level.
    windows: (start, slope) of this way of `tiles.py`: the relative time is start + slope * density. The density is the
        fraction of the level's pixels that lie in the halo.
    winograd: (start, slope) of the other way of `tiles.py`.
    """

    width: int
    windows: tuple[float, float]
    winograd: tuple[float, float]


#: By kind of processor, see `processor`. Levels of `small` and of a network with synthesis widths 72, 144, 216, 192, at
#: 1280x720, and of `base`, at 640x360. AMX, and the rows of 32: an earlier `small`, with widths 32, 64, 96, 96.
#: One thread, PyTorch 2.14.1, November 2026.
MEASURED: dict[str, dict[torch.dtype, tuple[Row, ...]]] = {
    "AVX-512 bf16": {  # AMD EPYC (Zen 5)
        torch.float32: (
            Row(32, (0.13, 2.17), (0.13, 2.41)),
            Row(64, (0.08, 1.87), (0.08, 1.76)),
            Row(72, (0.06, 1.52), (0.06, 1.47)),
            Row(80, (0.07, 1.79), (0.06, 1.49)),
            Row(112, (0.09, 1.82), (0.07, 1.3)),
            Row(144, (0.04, 1.62), (0.04, 1.14)),
            Row(216, (0.05, 1.64), (0.04, 1.03)),
            Row(432, (0.02, 1.51), (0.02, 0.73)),
            Row(648, (0.04, 1.5), (0.04, 0.63)),
        ),
        torch.bfloat16: (
            Row(32, (0.22, 1.96), (0.19, 3.13)),
            Row(64, (0.13, 1.59), (0.13, 2.02)),
            Row(72, (0.09, 1.32), (0.09, 1.72)),
            Row(80, (0.13, 1.49), (0.12, 1.63)),
            Row(112, (0.17, 1.5), (0.14, 1.38)),
            Row(144, (0.06, 1.45), (0.06, 1.24)),
            Row(216, (0.09, 1.46), (0.07, 1.07)),
            Row(432, (0.04, 1.47), (0.03, 0.78)),
            Row(648, (0.09, 1.31), (0.08, 0.6)),
        ),
    },
    "AVX2": {  # AMD EPYC; it has no bfloat16, which oneDNN's convolutions emulate slowly
        torch.float32: (
            Row(32, (0.11, 1.55), (0.1, 1.35)),
            Row(64, (0.02, 1.45), (0.02, 1.19)),
            Row(72, (0.05, 1.25), (0.06, 0.9)),
            Row(80, (0.04, 1.88), (0.04, 1.11)),
            Row(112, (0.08, 1.83), (0.08, 0.99)),
            Row(144, (0.02, 1.63), (0.02, 0.9)),
            Row(216, (0.02, 1.75), (0.03, 0.86)),
            Row(432, (0.02, 1.56), (0.02, 0.68)),
            Row(648, (0.01, 1.72), (0.02, 0.66)),
        ),
        torch.bfloat16: (  # frames of a quarter of the sides, one repeat
            Row(32, (0.03, 2.25), (0.04, 0.68)),
            Row(64, (0.0, 2.75), (0.01, 0.54)),
            Row(72, (0.0, 2.16), (0.0, 0.88)),
            Row(80, (0.0, 2.33), (0.01, 0.7)),
            Row(112, (0.07, 3.45), (0.05, 0.94)),
            Row(144, (0.01, 1.74), (0.01, 0.55)),
            Row(216, (0.0, 3.38), (0.03, 1.01)),
            Row(432, (0.03, 3.98), (0.01, 0.5)),
            Row(648, (0.17, 13.21), (0.17, 1.0)),
        ),
    },
    "AMX": {  # Intel Xeon; PyTorch takes AMX for bfloat16 alone
        torch.float32: (
            Row(32, (0.2, 1.61), (0.2, 2.29)),
            Row(64, (0.11, 1.72), (0.1, 1.82)),
            Row(72, (0.11, 1.26), (0.12, 1.41)),
            Row(96, (0.12, 1.75), (0.1, 1.56)),
            Row(144, (0.06, 1.49), (0.05, 1.22)),
            Row(216, (0.07, 1.54), (0.06, 1.08)),
            Row(432, (0.04, 1.49), (0.04, 0.79)),
            Row(648, (0.09, 1.26), (0.08, 0.56)),
        ),
        torch.bfloat16: (
            Row(32, (0.35, 1.35), (0.36, 3.06)),
            Row(64, (0.23, 1.43), (0.22, 3.02)),
            Row(72, (0.18, 0.9), (0.17, 2.12)),
            Row(96, (0.27, 1.5), (0.27, 2.97)),
            Row(144, (0.13, 1.04), (0.12, 1.84)),
            Row(216, (0.18, 1.25), (0.18, 1.89)),
            Row(432, (0.11, 0.98), (0.1, 0.99)),
            Row(648, (0.24, 0.85), (0.19, 0.8)),
        ),
    },
}
#: Processors that were not measured: the one whose rows they take.
LIKE = {
    # AVX-512 computes the products at the same speed.
    ("AVX-512", torch.float32): "AVX-512 bf16",
}
SAFE = 2.0  # factor for every other processor and dtype, on the most cautious of all measured rows
MARGIN = 1.05  # gathering must win by this factor, because a straight line is only an approximation


@functools.cache
def processor() -> str:
    """Return the kind of this machine's CPU: a name in `MEASURED` or `LIKE`, or another if it has no rows."""
    capability = torch.backends.cpu.get_cpu_capability()
    if capability != "AVX512":
        return capability
    if _has("amx_tile"):
        return "AMX"
    return "AVX-512 bf16" if _has("avx512_bf16") else "AVX-512"


def _has(feature: str) -> bool:
    """Return True if PyTorch reports this feature of the CPU; False if it does not know the feature."""
    ask = getattr(torch.cpu, f"_is_{feature}_supported", None)
    return ask is not None and ask()


def gathering(density: float, dtype: torch.dtype, width: int, kind: str) -> tuple[float, str]:
    """Estimate the time of the faster way on tiles, relative to the folded time. Return it with the name of the way.

    Args:
        density: fraction of the level's pixels that lie in the halo.
        dtype: type of the features.
        width: output channels of the level.
        kind: kind of processor, see `processor`.
    """
    tables, factor = _tables(dtype, kind)
    times: dict[str, float] = {}
    for rows in tables:
        # Gathering pays more in wide levels: the next narrower row is on the safe side.
        row = next((row for row in reversed(rows) if row.width <= width), rows[0])
        for way, (start, slope) in {"windows": row.windows, "winograd": row.winograd}.items():
            times[way] = max(times.get(way, 0), factor * (start + slope * density))
    way = min(times, key=lambda name: times[name])
    return times[way], way


def _tables(dtype: torch.dtype, kind: str) -> tuple[list[tuple[Row, ...]], float]:
    """Return the measured rows of a processor, or of all where it is unknown, and the factor on their shares."""
    kind = LIKE.get((kind, dtype), kind)
    if dtype in MEASURED.get(kind, {}):
        return [MEASURED[kind][dtype]], MARGIN
    return [rows.get(dtype, rows[torch.bfloat16]) for rows in MEASURED.values()], SAFE * MARGIN


def estimate(density: float, dtype: torch.dtype, width: int, kind: str) -> float:
    """Estimate the time of a level by the fastest way, folding included, relative to the folded time.

    Arguments: those of `gathering`.
    """
    return min(1.0, gathering(density, dtype, width, kind)[0])
