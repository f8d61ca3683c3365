"""Drawings of a benchmark as SVG: accuracy against operations, and the chosen ratios."""

import collections
import io
import math
from collections.abc import Collection, Iterable

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .scores import Row
from .speed.results import COLOURS, INK, MARKERS


def has_tradeoff(networks: dict[str, list[Row]], others: dict[str, Row]) -> bool:
    """Return True if there is something to compare. A single dot would show less than the table."""
    return len(_placed(row for rows in networks.values() for row in rows)) > 0 and (
        sum(len(rows) for rows in networks.values()) + len(others) > 1
    )


def draw_tradeoff(networks: dict[str, list[Row]], others: dict[str, Row]) -> str:
    """Draw PSNR against published GMACs. A line connects the ratios of a network, and a star is its own choice.

    Args:
        networks: rows with GMACs, by the network's name. The name of a row ends with a comma and its option.
        others: rows of methods with unknown operations, by name. Each is a horizontal dashed line.
    Returns:
        The SVG element.
    """
    figure, axes = _figure()
    handles: list[Artist] = []
    for index, (name, rows) in enumerate(networks.items()):
        if placed := _placed(rows):
            colour = COLOURS[index % len(COLOURS)]
            _draw_network(axes, placed, colour, MARKERS[index % len(MARKERS)])
            handles.append(Patch(color=colour, label=name))
    for index, row in enumerate(_placed(others.values()), len(networks)):
        colour = COLOURS[index % len(COLOURS)]
        axes.axhline(row.mean.psnr, color=colour, linestyle="--", linewidth=1.5)
        handles.append(Line2D([], [], color=colour, linestyle="--", label=f"{row.name} (operations not known)"))
    axes.set(xlabel="GMACs per frame, as published tables count them", ylabel="PSNR (dB)")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.margins(0.12, 0.2)
    _name(figure, handles)
    return _svg(figure)


def _draw_network(axes: Axes, rows: list[Row], colour: str, marker: str) -> None:
    """Draw the rows of one network, labelled by their options. Rows at the same place share a label."""
    fixed = sorted((row.mean.gmacs, row.mean.psnr) for row in rows if not row.name.endswith(", auto"))
    if fixed:
        axes.plot(*zip(*fixed, strict=True), color=colour, marker=marker, markersize=5, linewidth=1.8)
    labels: dict[tuple[str, str, bool], list[Row]] = {}
    for row in rows:
        labels.setdefault((f"{row.mean.gmacs:.4g}", f"{row.mean.psnr:.4g}", row.name.endswith(", auto")), []).append(
            row
        )
    for (_, _, chosen), alike in labels.items():
        place = alike[0].mean.gmacs, alike[0].mean.psnr
        if chosen:
            axes.plot(*place, "*", color=colour, markersize=13)
        text = ", ".join(row.name.rpartition(", ")[2].removeprefix("ratio ") for row in alike)
        offset = (0, -15) if chosen else (0, 8)
        axes.annotate(text, place, offset, textcoords="offset points", ha="center", color=INK, fontsize=9)


def draw_choices(rows: list[Row], candidates: Collection[float]) -> str:
    """Draw how often the network chose each of its ratios, with a bar per ratio and row. Return the SVG element."""
    figure, axes = _figure()
    counts = [collections.Counter(scores.ratio for scores in row.images.values()) for row in rows]
    # The network stores its ratios in float32, the configuration in float64.
    named = {np.float32(ratio).item(): f"{ratio:g}" for ratio in candidates}
    ratios = sorted(set(named).union(*counts))
    width = 0.8 / len(rows)
    for index, (row, count) in enumerate(zip(rows, counts, strict=True)):
        places = [position + (index - (len(rows) - 1) / 2) * width for position in range(len(ratios))]
        shares = [100 * count[ratio] / len(row.images) for ratio in ratios]
        bars = axes.bar(places, shares, 0.92 * width, color=COLOURS[index % len(COLOURS)])
        axes.bar_label(bars, [str(count[ratio]) for ratio in ratios], padding=2, fontsize=9, color=INK)
    axes.set_xticks(range(len(ratios)), [named.get(ratio, f"{ratio:.4g}") for ratio in ratios])
    axes.set(xlabel="threshold ratio chosen", ylabel="frames (%)")
    axes.margins(y=0.12)
    if len(rows) > 1:
        _name(figure, [Patch(color=COLOURS[i % len(COLOURS)], label=row.name) for i, row in enumerate(rows)])
    return _svg(figure)


def _placed(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with a finite PSNR. Perfect frames have no place on the axis."""
    return [row for row in rows if math.isfinite(row.mean.psnr)]


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.7, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    return figure, axes


def _name(figure: Figure, handles: list[Artist]) -> None:
    """Put the legend above the axes, where no mark of it can be mistaken for a measurement."""
    figure.legend(handles=handles, frameon=False, loc="outside upper left", fontsize=9, handlelength=1.6)


def _svg(figure: Figure) -> str:
    """Return the drawing as an SVG element. Its text stays text."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "0"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2]
