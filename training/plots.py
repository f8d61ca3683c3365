"""Drawings of a run: its curves, its choices of ratios, and labelled pictures; and the report of a finished run.

The report is summary.md and curves.png. It is made from the run's TensorBoard files.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import utils

from .validation import Validation

Curve = list[tuple[int, float]]  # (step, value)
SMOOTHED_OVER = 50  # a running median covers this part of the run, 1/50; the single values are drawn pale
COLOURS = {"blue": "#1f5fa8", "orange": "#d9730d", "grey": "#8a8f98"}
DPI, MARGIN = 100, 0.12  # pixels per inch; inches
LABEL, WIDTH_OF_LABEL = 24, 300  # pixels: the space around a panel, and the width of its label
Panel = tuple[str, np.ndarray]  # label; (H, W, 3) uint8
NEEDED = ("loss/total", "loss/reconstruction", "validation/psnr", "validation/psnr_merged", "validation/cost")


def draw_curves(curves: dict[str, Curve]) -> Figure:
    """Draw loss, PSNR and mean cost against the step, below each other. `curves` have TensorBoard's names."""
    figure = _figure(8, 8, dpi=120)
    loss, psnr, cost = figure.subplots(3, 1, sharex=True)
    for name, colour in (("total", "orange"), ("reconstruction", "blue")):
        if not any(value for _, value in curves[f"loss/{name}"]):
            continue  # a run that trains the classifier alone has no reconstruction loss
        _line(loss, curves[f"loss/{name}"], colour, alpha=0.25)
        _line(loss, _median(curves[f"loss/{name}"]), colour, label=f"{name}, running median")
    loss.set(ylabel="loss", yscale="log")
    loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    loss.yaxis.set_minor_locator(NullLocator())
    loss.yaxis.set_major_formatter("{x:g}")
    _line(psnr, curves["validation/psnr"], "blue", label="frame", marker="o")
    _line(psnr, curves["validation/psnr_merged"], "orange", label="merged frame, before synthesis", marker="o")
    psnr.set(ylabel="PSNR (dB)")
    _line(cost, curves["validation/cost"], "blue", marker="o")
    cost.set(ylabel="mean cost\n(1: everything computed)", xlabel="step", ylim=(0, 1.05))
    for axes in (loss, psnr, cost):
        _tidy(axes)
    for axes in (psnr, cost):  # numbers as they are, without "+2.884e1" in a corner
        axes.ticklabel_format(useOffset=False, style="plain")
    for axes in (loss, psnr):
        axes.legend(frameon=False)
    return figure


def draw_choices(found: Validation, ratios: tuple[float, ...]) -> Figure:
    """Draw the PSNR of every validation image above the ratio chosen for it, with the mean of each ratio."""
    figure = _figure(6, 4, dpi=DPI)
    axes = figure.subplots()
    spread = np.random.default_rng(0).uniform(-0.2, 0.2, len(found.images))
    places = np.array([image.choice for image in found.images]) + spread
    axes.plot(places, [image.psnr for image in found.images], ".", color=COLOURS["grey"], alpha=0.6)
    axes.plot(range(len(ratios)), found.psnr_of_ratio, "_", color=COLOURS["blue"], markersize=30, markeredgewidth=2)
    labels = [f"{ratio:g}\n{share:.0%}" for ratio, share in zip(ratios, found.shares, strict=True)]
    axes.set_xticks(range(len(ratios)), labels)
    axes.set(xlabel="ratio chosen, and its share of the images", ylabel="PSNR (dB)", xlim=(-0.5, len(ratios) - 0.5))
    _tidy(axes)
    axes.ticklabel_format(axis="y", useOffset=False, style="plain")
    return figure


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """Draw pictures of one size below each other, each in a frame and under its label.

    TensorBoard shows any picture about 350 pixels wide. Side by side, the pictures would be too small.
    """
    height, width = panels[0][1].shape[:2]
    scale = max(1, -(-WIDTH_OF_LABEL // width))
    size = (scale * width + 2 * LABEL) / DPI, len(panels) * (scale * height + 2 * LABEL) / DPI
    figure = _figure(*size, dpi=DPI)
    for axes, (label, image) in zip(np.atleast_1d(figure.subplots(len(panels), 1)), panels, strict=True):
        axes.imshow(image, interpolation="nearest")
        axes.set_title(label, fontsize=10)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color(COLOURS["grey"])
    return figure


def _figure(width: float, height: float, *, dpi: int) -> Figure:
    """Make an empty figure of `width` x `height` inches, with a margin."""
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    figure.get_layout_engine().set(w_pad=MARGIN, h_pad=MARGIN)
    return figure


def _median(curve: Curve) -> Curve:
    """Return the running median over 1/50 of the curve, or over five points if that is more."""
    half = max(2, len(curve) // (2 * SMOOTHED_OVER))
    values = [value for _, value in curve]
    windows = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [(step, float(np.median(window))) for (step, _), window in zip(curve, windows, strict=True)]


def _line(axes: Axes, curve: Curve, colour: str, **options: object) -> None:
    axes.plot(*zip(*curve, strict=True), color=COLOURS[colour], linewidth=1.5, markersize=3, **options)


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def read_curves(folder: Path) -> dict[str, Curve]:
    """Return all scalars of a run by name. If a resumed run repeated steps, its values replace the earlier ones."""
    starts = [EventAccumulator(str(file), size_guidance={"scalars": 0}) for file in (folder / "tensorboard").iterdir()]
    curves: dict[str, Curve] = {}
    for start in sorted((start.Reload() for start in starts), key=EventAccumulator.FirstEventTimestamp):
        for name in start.Tags()["scalars"]:
            curve = [(event.step, event.value) for event in start.Scalars(name)]
            curves[name] = [point for point in curves.get(name, []) if point[0] < curve[0][0]] + curve
    return curves


def write_report(folder: Path, settings: dict[str, object], *, seconds: float) -> None:
    """Write curves.png and summary.md into the run's folder.

    Args:
        settings: further rows of the table.
        seconds: the time that the run took.
    """
    curves = read_curves(folder)
    if not all(curves.get(name) for name in NEEDED):  # the run is shorter than --log_every
        return
    with utils.atomic_path(folder / "curves.png") as path:
        draw_curves(curves).savefig(path)
    rows = [("time", f"{seconds / 3600:.2f} h"), *_results(curves), *settings.items()]
    table = "".join(f"| {name} | {value} |\n" for name, value in rows)
    with utils.atomic_path(folder / "summary.md") as path:
        path.write_text(f"# {folder.name}\n\n| | |\n|---|---|\n{table}\n![Curves](curves.png)\n")


def _results(curves: dict[str, Curve]) -> list[tuple[str, str]]:
    losses, psnr = [value for _, value in curves["loss/total"]], curves["validation/psnr"]
    best_step, best = max(psnr, key=lambda point: point[1])
    shares = [(name.rpartition("_")[2], curve) for name, curve in curves.items() if "validation/share/" in name]
    return [
        ("steps", f"{psnr[-1][0]}"),
        ("loss, mean of the last tenth of the run", f"{statistics.mean(losses[-max(1, len(losses) // 10) :]):.5f}"),
        ("PSNR at the end", f"{psnr[-1][1]:.3f} dB"),
        ("PSNR of best.pth", f"{best:.3f} dB, at step {best_step}"),
        ("PSNR of the merged frame at the end", f"{curves['validation/psnr_merged'][-1][1]:.3f} dB"),
        ("mean cost at the end", f"{curves['validation/cost'][-1][1]:.3f}"),
        ("ratios at the end", ", ".join(f"{ratio}: {curve[-1][1]:.0%}" for ratio, curve in shares)),
        ("samples per second, median", f"{_middle(curves['machine/samples_per_second']):.2f}"),
        ("waiting for the loader, median", f"{_middle(curves['machine/loader_share']):.1%}"),
        ("peak memory", f"{max(value for _, value in curves['machine/memory_mebibytes']):.0f} MiB"),
    ]


def _middle(curve: Curve) -> float:
    return statistics.median(value for _, value in curve)
