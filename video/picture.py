"""Draw the work of the network: a labelled picture of one pair of frames, or a report of a whole conversion.

A report shows cost, ratio and cuts over time, and some pairs of frames with their results.
"""

import importlib.util
import textwrap
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from models import Interpolation, WaveletVFI
from utils import atomic_path, tensor_to_image

from .convert import Summary
from .frame import Frame
from .options import Options
from .read.source import open_reader
from .render.alpha import seen
from .render.network import tells_costs
from .write.job import Record

if TYPE_CHECKING:  # Matplotlib takes a second, and is imported where it draws
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 640  # width of one panel in pixels
MARGIN = 20
INK, FAINT, PAPER, EDGE = (24, 24, 28), (88, 88, 96), (255, 255, 255), (176, 176, 184)
TITLE_SIZE, CAPTION_SIZE = 26, 20
LEADING = 1.3  # from one line of text to the next, in sizes of the font
PAIRS = 3  # most pairs of frames in a report
HEIGHT, DPI = 5, 160  # inches of the drawing; pixels per inch
FREE = MARGIN / DPI  # inches that are left free around the drawing
LETTER = 16  # pixels that a letter of the title takes at most
COST, RATIO, CUT = "#1f5fa8", "#d9730d", "#8a8f98"
TYPEFACE = "mpl-data/fonts/ttf/DejaVuSans.ttf"  # in Matplotlib, whose drawings stand beside these pictures


def explain(img0: torch.Tensor, img1: torch.Tensor, output: Interpolation, *, title: str) -> Image.Image:
    """Draw input pair, their average, middle frame, flow and mask in two rows of three panels with captions.

    Args:
        img0, img1: (1, 3, H, W) RGB in [0, 1].
        output: result of `model.interpolate_details(img0, img1)`; flow and mask are cropped to (H, W).
        title: one line over the picture.
    """
    height, width = img0.shape[-2:]
    flow = output.motion.flow_t0[..., :height, :width]
    mask = output.candidates[0].masks[0]
    active, cost = mask.mean().item(), output.candidates[0].cost.mean().item()
    mask = mask.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :height, :width].expand(-1, 3, -1, -1)
    fastest = flow.norm(dim=1).max().item()
    panels = [
        (tensor_to_image(img0), "Input 0", "t = 0"),
        (tensor_to_image(output.frame), "Middle frame", "t = 1/2, made by the network"),
        (tensor_to_image(img1), "Input 1", "t = 1"),
        (tensor_to_image((img0 + img1) / 2), "Average of the inputs", "what moves is seen twice"),
        (
            with_wheel(flow_to_rgb(flow)),
            "Flow to input 0",
            f"hue: direction as on the wheel, strength: speed, at most {fastest:.1f} pixels",
        ),
        (
            tensor_to_image(mask),
            "Finest mask",
            f"white: details computed, {active:.0%} of positions; cost {cost:.0%} of dense synthesis",
        ),
    ]
    return _compose(panels, title)


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


def draw_calls(summary: Summary, calls: list[list[float]], width: int) -> "Figure":
    """Draw cost and ratio over time, `width` pixels wide. `calls`: as in `Record`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, HEIGHT), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=FREE, h_pad=FREE)
    title = textwrap.fill(_title(summary), max(20, width // LETTER))
    figure.suptitle(title, x=MARGIN / width, ha="left")
    cost, ratio = figure.subplots(2, 1, sharex=True)
    for axes, column, colour in ((cost, 1, COST), (ratio, 2, RATIO)):
        times, values = ([call[index] for call in calls] for index in (0, column))
        if calls:  # an empty line has no place in the layout
            axes.plot(times, values, ".", color=colour, markersize=6, clip_on=False)
        for cut in summary.cuts:
            axes.axvline(cut, color=CUT, linewidth=1)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    cost.set(ylabel="cost of the synthesis\n(1: dense)", ylim=(0, 1.05))
    ratio.set_ylim(0, 1.1 * max((call[2] or 0 for call in calls), default=0) or 1)
    ratio.yaxis.set_major_formatter("{x:g}")
    marks = "; a line is a cut" if summary.cuts else ""
    ratio.set(ylabel="threshold ratio", xlabel=f"time in the input (s){marks}")
    _say_what_is_missing(cost, ratio, calls)
    figure.align_ylabels()
    return figure


def flow_to_rgb(flow: torch.Tensor) -> np.ndarray:
    """Paint a flow, (1, 2, H, W) in pixels, in Middlebury's colours: strongest where it is largest.

    Returns:
        (H, W, 3) uint8.
    """
    from torchvision.utils import flow_to_image

    return flow_to_image(flow.float().cpu())[0].permute(1, 2, 0).numpy()


def with_wheel(image: np.ndarray, size: int = 64) -> np.ndarray:
    """Add the colours of all directions as a small disc in the lower right corner."""
    height, width = image.shape[:2]
    size = min(size, height // 2, width // 2) // 2 * 2
    if size < 16:
        return image
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    disc = (x.square() + y.square()).sqrt() <= 1
    wheel = flow_to_rgb(torch.stack([x, y])[None] * disc)
    corner = image[height - size - 8 : height - 8, width - size - 8 : width - 8]
    image = image.copy()
    image[height - size - 8 : height - 8, width - size - 8 : width - 8] = np.where(disc[..., None], wheel, corner)
    return image


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text into lines of at most `width` pixels. Only a word that is longer than a line is broken itself."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        lines += [""] if lines[-1] else []
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def font_of_size(size: int) -> ImageFont.FreeTypeFont:
    """Return Matplotlib's typeface if Matplotlib is installed (it is not imported), else Pillow's own."""
    found = importlib.util.find_spec("matplotlib")
    path = Path(found.origin).parent / TYPEFACE if found and found.origin else None
    if path is not None and path.is_file():
        return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size=size)


def _compose(panels: list[tuple[np.ndarray, str, str]], title: str) -> Image.Image:
    """Put panels (image, name, caption) into rows of three under a title."""
    height, width = panels[0][0].shape[:2]
    panel_height = max(round(height * PANEL / width), 1)
    large, small = font_of_size(TITLE_SIZE), font_of_size(CAPTION_SIZE)
    columns = 3 * PANEL + 2 * MARGIN
    titles = wrapped(title, large, columns)
    texts = [(wrapped(name, large, PANEL), wrapped(caption, small, PANEL)) for _, name, caption in panels]
    label = max(_high(names, TITLE_SIZE) + _high(captions, CAPTION_SIZE) for names, captions in texts) + MARGIN // 2
    head = _high(titles, TITLE_SIZE) + 2 * MARGIN
    rows = -(-len(panels) // 3)
    canvas = Image.new("RGB", (columns + 2 * MARGIN, head + rows * (panel_height + label + MARGIN)), PAPER)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (MARGIN, MARGIN), titles, INK, large)
    for index, ((image, name, _), (names, captions)) in enumerate(zip(panels, texts, strict=True)):
        left = MARGIN + index % 3 * (PANEL + MARGIN)
        top = head + index // 3 * (panel_height + label + MARGIN)
        filter_ = Image.Resampling.NEAREST if name == "Finest mask" else Image.Resampling.LANCZOS
        canvas.paste(Image.fromarray(image).resize((PANEL, panel_height), filter_), (left, top))
        draw.rectangle((left, top, left + PANEL - 1, top + panel_height - 1), outline=EDGE)
        below = _write(draw, (left, top + panel_height + MARGIN // 2), names, INK, large)
        _write(draw, (left, below), captions, FAINT, small)
    return canvas


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    lines: list[str],
    ink: tuple[int, int, int],
    font: ImageFont.FreeTypeFont,
) -> int:
    """Write lines from `place` (left, top) on; return where the next one begins."""
    left, top = place
    for line in lines:
        draw.text((left, top), line, fill=ink, font=font)
        top += _high([line], round(font.size))
    return top


def _high(lines: list[str], size: int) -> int:
    """Return the height of lines of text, in pixels."""
    return len(lines) * round(LEADING * size)


def _draw(summary: Summary, calls: list[list[float]], width: int) -> np.ndarray:
    """Return the drawing as (H, width, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(draw_calls(summary, calls, width))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _say_what_is_missing(cost: "Axes", ratio: "Axes", calls: list[list[float]]) -> None:
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
