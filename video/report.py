"""Draw one picture of a conversion: cost, ratio and cuts over time, and some pairs of frames with their results."""

import textwrap
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from models import WaveletVFI
from utils import atomic_path

from .frame import Frame
from .options import Options
from .picture import MARGIN, explain
from .read.source import open_reader
from .render.alpha import seen
from .render.network import tells_costs
from .render.summary import Record, Summary

PAIRS = 3
HEIGHT, DPI = 5, 160  # inches of the drawing; pixels per inch
EDGE = MARGIN / DPI  # inches that are left free around the drawing
LETTER = 16  # pixels that a letter of the title takes at most
COST, RATIO, CUT = "#1f5fa8", "#d9730d", "#8a8f98"


def write_report(
    path: Path,
    summary: Summary,
    inputs: Sequence[Path],
    model: WaveletVFI,
    options: Options,
    *,
    device: torch.device | str = "cpu",
) -> None:
    """Draw the result of `convert` as a PNG. Some pairs of the inputs are computed again for it.

    If nothing was computed, the report says so and shows the cuts.

    Raises:
        ValueError: the model does not report its costs.
    """
    calls = [call for record in summary.records for call in record.calls if call[1] is not None]
    if not calls and not (tells_costs(model) and summary.made == 0):
        raise ValueError(f"{summary.output}: nothing was computed whose cost is known, so there is nothing to report")
    times = choose_times(summary.records)
    amount = {"budget": options.budget} if options.budget is not None else {"ratio": options.ratio}
    pictures = []
    for frame0, frame1 in read_pairs(inputs, options, times):
        img0, img1 = (seen(frame).to(device) for frame in (frame0, frame1))
        output = model.interpolate_details(img0, img1, **amount)
        title = f"{Path(inputs[0]).name}, between {float(frame0.time):.3f} and {float(frame1.time):.3f} s"
        pictures.append(np.asarray(explain(img0.cpu(), img1.cpu(), output, title=title)))
    width = pictures[0].shape[1] if pictures else 2000
    whole = np.concatenate([_draw(summary, calls, width), *pictures])
    with atomic_path(path) as temporary:
        Image.fromarray(whole).save(temporary)


def choose_times(records: Sequence[Record]) -> list[float]:
    """Return the times of the most expensive middle frames, one in each of `PAIRS` equal parts of the video."""
    calls = [call for record in records for call in record.calls if call[1]]
    if not calls:
        return []
    start, end = calls[0][0], calls[-1][0]
    parts: dict[int, list] = {}
    for call in calls:
        parts.setdefault(min(int((call[0] - start) / (end - start or 1) * PAIRS), PAIRS - 1), []).append(call)
    return [max(part, key=lambda call: call[1])[0] for part in parts.values()]


def read_pairs(inputs: Sequence[Path], options: Options, times: Sequence[float]) -> Iterator[tuple[Frame, Frame]]:
    """Read the two frames around each time, in one pass."""
    waiting = sorted(times)
    reader = open_reader([Path(path) for path in inputs], rate=options.input_fps, **options.reading())
    last = None
    for frame in options.source(reader).frames():
        if waiting and last is not None and frame.time > Fraction(waiting[0]):
            yield last, frame
            waiting = [time for time in waiting if Fraction(time) >= frame.time]
        if not waiting:
            break
        last = frame
    reader.close()


def _draw(summary: Summary, calls: list[list[float]], width: int) -> np.ndarray:
    """Return the drawing as (H, width, 3) uint8."""
    canvas = FigureCanvasAgg(draw_calls(summary, calls, width))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def draw_calls(summary: Summary, calls: list[list[float]], width: int) -> Figure:
    """Draw cost and ratio over time, `width` pixels wide. `calls`: as in `Record`."""
    figure = Figure(figsize=(width / DPI, HEIGHT), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=EDGE, h_pad=EDGE)
    title = textwrap.fill(_title(summary), max(20, width // LETTER))
    figure.suptitle(title, x=MARGIN / width, ha="left")
    cost, ratio = figure.subplots(2, 1, sharex=True)
    for axes, column, colour in ((cost, 1, COST), (ratio, 2, RATIO)):
        times, values = ([call[index] for call in calls] for index in (0, column))
        if calls:  # an empty line has no place in the layout
            axes.plot(times, values, ".", color=colour, markersize=6, clip_on=False)
        for cut in summary.cuts:
            axes.axvline(cut, color=CUT, linewidth=1)
        _tidy(axes)
    cost.set(ylabel="cost of the synthesis\n(1: dense)", ylim=(0, 1.05))
    ratio.set_ylim(0, 1.1 * max((call[2] or 0 for call in calls), default=0) or 1)
    ratio.yaxis.set_major_formatter("{x:g}")
    marks = "; a line is a cut" if summary.cuts else ""
    ratio.set(ylabel="threshold ratio", xlabel=f"time in the input (s){marks}")
    _say_what_is_missing(cost, ratio, calls)
    figure.align_ylabels()
    return figure


def _say_what_is_missing(cost: Axes, ratio: Axes, calls: list[list[float]]) -> None:
    """Write the reason into an empty drawing."""
    style = {"ha": "center", "va": "center", "color": CUT, "in_layout": False}
    if not calls:
        cost.text(0.5, 0.5, "nothing was computed: all frames are the input's", transform=cost.transAxes, **style)
    elif all(call[2] is None for call in calls):
        ratio.text(0.5, 0.5, "nothing moves, so no ratio was needed", transform=ratio.transAxes, **style)


def _title(summary: Summary) -> str:
    saved = "" if summary.saved is None else f", {summary.saved:.0%} of the operations saved"
    cuts = f", {len(summary.cuts)} {'cut' if len(summary.cuts) == 1 else 'cuts'} held" if summary.cuts else ""
    return f"{summary.output.name}: {summary.made} of {summary.frames} frames made{cuts}{saved}"


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
