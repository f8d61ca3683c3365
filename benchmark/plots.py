"""The pictures of a benchmark's page: plots, as SVG, and single frames.

The plots show accuracy against operations, and the chosen ratios. The pictures of a frame are the inputs, the
prediction, its error, the flow and the masks.
"""

import base64
import collections
import io
import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from datasets import FrameSource
from utils import tensor_to_image
from video.picture import flow_to_rgb

from .measure.results import COLOURS, INK, MARKERS, tidy
from .methods import Method, Prediction, between
from .scores import Row

WORST = 10  # number of frames
TYPICAL = (0.25, 0.5, 0.75)  # quantiles of PSNR
WIDEST = 560  # pixels of a panel
BRIGHTEST = 64  # grey levels of error that have the lightest colour


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
    tidy(axes)
    return figure, axes


def _name(figure: Figure, handles: list[Artist]) -> None:
    """Put the legend above the axes, where no mark of it can be mistaken for a measurement."""
    figure.legend(handles=handles, frameon=False, loc="outside upper left", fontsize=9, handlelength=1.6)


def _svg(figure: Figure) -> str:
    """Return the drawing as an SVG element. Its text stays text."""
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "0"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]


class Panel(NamedTuple):
    """A picture in a page.

    heading, caption: the text below it.
    url: the URL with its data.
    width, height: its size in pixels.
    """

    heading: str
    caption: str
    url: str
    width: int
    height: int


class Shown(NamedTuple):
    """A method whose frames are shown.

    method: the method.
    position: the number of the shown row among the method's rows.
    row: the scores of that row.
    """

    method: Method
    position: int
    row: Row


def choose(row: Row) -> tuple[list[str], list[str]]:
    """Return the names of the worst frames, the worst first, and of typical frames."""
    ranked = sorted(row.images, key=lambda name: row.images[name].psnr)
    typical = [ranked[round(quantile * (len(ranked) - 1))] for quantile in TYPICAL]
    return ranked[:WORST], list(dict.fromkeys(typical))


@torch.inference_mode()
def panels(dataset: FrameSource, name: str, shown: Sequence[Shown], device: torch.device) -> list[Panel]:
    """Predict one frame again and draw it.

    For the first method, all is drawn that is known; for the others, the prediction and its error. A method whose
    prediction was not finite is left out.

    Args:
        name: the name of the frame, as in `Row.images`.
    """
    index, position = _locate(dataset.names, name)
    img0, *targets, img1 = (frame[None].to(device).float() / 255 for frame in dataset[index])
    truth = targets[position - 1]
    first, *others = (
        (one, between(one.method, img0, img1, len(targets) + 1, [one.position], [position])[0][0])
        for one in shown
        if name in one.row.images
    )
    pictures = [
        _panel("inputs", "both frames, overlaid", tensor_to_image((img0 + img1) / 2)),
        _panel("prediction", "", tensor_to_image(first[1].frame)),
        _panel("truth", "", tensor_to_image(truth)),
        _error("error", first[1].frame, truth),
        *_inside(first[1]),
    ]
    for one, prediction in others:
        scores = one.row.images[name]
        pictures.append(_panel(one.row.name, f"{scores.psnr:.2f} dB", tensor_to_image(prediction.frame)))
        pictures.append(_error(f"error of {one.row.name}", prediction.frame, truth))
    return pictures


def _error(heading: str, frame: Tensor, truth: Tensor) -> Panel:
    error = 255 * (frame - truth).abs().mean(1)[0]
    return _panel(heading, f"mean {error.mean():.1f} grey levels, white from {BRIGHTEST}", _heat(error / BRIGHTEST))


def _inside(prediction: Prediction) -> list[Panel]:
    """Draw flow and masks, cropped to the frame, if the method returns them."""
    details = prediction.details
    if details is None:
        return []
    height, width = prediction.frame.shape[-2:]
    flow = details.motion.flow_t0[..., :height, :width]
    fastest = flow.norm(dim=1).max().item()
    masks = [
        F.interpolate(mask, scale_factor=2**level)[0, 0] for level, mask in enumerate(details.candidates[0].masks, 1)
    ]
    nested = (sum(masks) / len(masks))[:height, :width]
    active = ", ".join(f"{mask.mean():.0%}" for mask in masks)
    return [
        _panel(
            "flow to input 0",
            f"hue: direction, strength: speed, at most {fastest:.1f} pixels; white: none",
            flow_to_rgb(flow),
        ),
        _panel(
            "masks",
            f"white: finest details computed; levels 1 to 3: {active}",
            tensor_to_image(nested.expand(3, -1, -1)),
        ),
    ]


def _locate(names: list[str], name: str) -> tuple[int, int]:
    """Return the number of the sample and the position of the frame in it, where 1 is the first after img0."""
    if name in names:
        return names.index(name), 1
    sample, _, place = name.rpartition(" ")
    return names.index(sample), int(place.partition("/")[0])


def _heat(values: Tensor) -> np.ndarray:
    """Colour a map (H, W), where 0 is black and 1 is white: (H, W, 3) uint8."""
    colours = matplotlib.colormaps["inferno"](values.clamp(0, 1).cpu().numpy())
    return (255 * colours[..., :3]).round().astype(np.uint8)


def _panel(heading: str, caption: str, image: np.ndarray) -> Panel:
    """Return a panel with the picture (H, W, 3) uint8, scaled to at most WIDEST pixels."""
    picture, data = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((WIDEST, 4 * WIDEST))
    picture.save(data, "WEBP", quality=82)
    url = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
    return Panel(heading, caption, url, *picture.size)
