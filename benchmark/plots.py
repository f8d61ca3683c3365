"""Drawings of a benchmark as SVG: accuracy against operations, and the ratios that were chosen."""

import collections
import io
import math
from collections.abc import Collection

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .scores import Row
from .speed_report import COLOURS, INK, MARKERS


def draw_tradeoff(networks: dict[str, list[Row]]) -> str:
    """PSNR against published GMACs, a line per network through its ratios, its own choice as a star.

    Args:
        networks: rows with GMACs, by the network's name; a row's own name ends with ", <what was asked for>".
    """
    figure, axes = _figure()
    for index, (name, rows) in enumerate(networks.items()):
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        rows = [row for row in rows if math.isfinite(row.mean.psnr)]  # perfect frames have no place on the axis
        fixed = sorted((row.mean.gmacs, row.mean.psnr) for row in rows if not row.name.endswith(", auto"))
        if fixed:
            axes.plot(*zip(*fixed, strict=True), color=colour, marker=marker, markersize=5, linewidth=1.8, label=name)
        for row in rows:
            chosen = row.name.endswith(", auto")
            if chosen:
                label = None if fixed else name
                axes.plot(row.mean.gmacs, row.mean.psnr, "*", color=colour, markersize=14, label=label)
            offset = (0, -15) if chosen else (0, 8)
            text, place = row.name.rpartition(", ")[2].removeprefix("ratio "), (row.mean.gmacs, row.mean.psnr)
            axes.annotate(text, place, offset, textcoords="offset points", ha="center", color=INK, fontsize=9)
    axes.set(xlabel="GMACs per frame, as published tables count them", ylabel="PSNR (dB)")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.margins(0.1, 0.2)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower right")
    return _svg(figure)


def draw_choices(rows: list[Row], candidates: Collection[float]) -> str:
    """How often each ratio was used where the network chose it, of those it could choose; a bar per ratio and row."""
    figure, axes = _figure()
    counts = [collections.Counter(scores.ratio for scores in row.images.values()) for row in rows]
    # The network holds its ratios in float32, the configuration in float64.
    named = {np.float32(ratio).item(): f"{ratio:g}" for ratio in candidates}
    ratios = sorted(set(named).union(*counts))
    width = 0.8 / len(rows)
    for index, (row, count) in enumerate(zip(rows, counts, strict=True)):
        places = [position + (index - (len(rows) - 1) / 2) * width for position in range(len(ratios))]
        shares = [100 * count[ratio] / len(row.images) for ratio in ratios]
        bars = axes.bar(places, shares, 0.92 * width, color=COLOURS[index % len(COLOURS)], label=row.name)
        axes.bar_label(bars, [str(count[ratio]) for ratio in ratios], padding=2, fontsize=9, color=INK)
    axes.set_xticks(range(len(ratios)), [named.get(ratio, f"{ratio:.4g}") for ratio in ratios])
    axes.set(xlabel="threshold ratio chosen", ylabel="frames (%)")
    axes.margins(y=0.12)
    if len(rows) > 1:
        axes.legend(frameon=False)
    return _svg(figure)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    return figure, axes


def _svg(figure: Figure) -> str:
    """The drawing as an element to put into a page; the browser sets its text."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "0"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]
