"""The report of a benchmark as one self-contained page: the table, drawings, and frames to look at."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from datasets import FrameSource

from .methods import Method, OurNetwork
from .plots import Panel, Shown, choose, draw_choices, draw_tradeoff, has_tradeoff, panels
from .scores import Results, Row
from .tables import format_perfect, list_failures, table, write_text

TEMPLATES = Path(__file__).with_name("templates")
SMALL = 300  # pixels; a narrower picture is enlarged, with its pixels as squares
NOTES = """PSNR and SSIM (3-D Gaussian window over rows, columns and colours) are means over frames of the prediction in
floating point. The 8-bit PSNR and IE, the mean absolute error in grey levels, are those of the prediction rounded to
8 bits. GMACs are counted by the rules of the published tables. "executed" are the multiply-accumulates of convolutions,
linear layers and matrix products as they were computed. Time is the median of all predictions. Memory is the peak of
the first prediction. A sweep computes all its rows together, so the time, the memory and the executed operations of one
row are unknown, and these cells are empty. The operations of ratio 0 are known, as they are those of the whole sweep. A
column that would be empty in every row is left out."""


class Sample(NamedTuple):
    """A frame to look at.

    name: its name, as in `Row.images`.
    facts: its scores in words.
    panels: its pictures.
    """

    name: str
    facts: list[str]
    panels: list[Panel]


class Group(NamedTuple):
    """Frames under one heading.

    title: the heading.
    by: the name of the row whose PSNR chose the frames.
    samples: the frames.
    """

    title: str
    by: str
    samples: list[Sample]


def write_page(
    path: Path,
    dataset: FrameSource,
    methods: list[Method],
    results: Results,
    run: dict[str, Any],
    *,
    device: torch.device,
    complete: bool = False,
) -> None:
    """Write the page. It needs no other file and loads nothing from elsewhere.

    Args:
        path: the file to write.
        dataset: the set that was evaluated. A few of its frames are predicted again.
        methods: the methods that were evaluated, the average last.
        results: the result of `evaluate`.
        run: the result of `describe_run`.
        device: the device for predictions.
        complete: as for `write_report`.
    """
    rows = _rows_of(methods, results)
    headings, *lines = table(results, complete=complete)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("report.html").render(
        title=results.title,
        facts=_facts(results, run),
        headings=headings,
        lines=lines,
        measured=len(results.rows),
        perfect=format_perfect(results),
        failed=len(results.failures),
        failures=list_failures(results),
        plots=_plots(methods, rows),
        groups=_groups(dataset, methods, rows, device),
        run=_about(run),
        notes=NOTES,
        small=SMALL,
    )
    write_text(path, text)


def _rows_of(methods: list[Method], results: Results) -> list[list[Row]]:
    """Return the rows of every method."""
    rows = iter(results.rows)
    return [[next(rows) for _ in method.rows] for method in methods]


def _facts(results: Results, run: dict[str, Any]) -> list[str]:
    """Return the parts of the line below the title."""
    machine = run["machine"]
    count = machine["threads"]
    threads = f", {count} thread{'s' if count > 1 else ''}" if machine["device"] == "cpu" else ""
    facts = [f"{len(results.names)} samples", run["date"], f"{machine['device']}{threads}"]
    return [fact for fact in (*facts, f"PyTorch {machine['torch']}", run.get("precision", "")) if fact]


def _plots(methods: list[Method], rows: list[list[Row]]) -> list[tuple[str, Markup]]:
    """Draw accuracy against operations, and the chosen ratios, if there is something to compare.

    Returns:
        The title and the SVG element of each drawing.
    """
    networks, others, chosen, candidates = {}, {}, [], set()
    for method, ours in zip(methods[:-1], rows[:-1], strict=True):  # the last is the average, far below all
        measured = [row for row in ours if row.mean]
        if not isinstance(method, OurNetwork):
            others |= {row.name: row for row in measured}
            continue
        networks |= {method.name: measured} if measured else {}
        options = zip(method.options, ours, strict=True)
        free = [row for option, row in options if row.images and option.get("ratio") is option.get("budget") is None]
        chosen += free
        candidates.update(method.model.config.ratios if free else ())
    plots = []
    if has_tradeoff(networks, others):
        plots.append(("Accuracy against operations", Markup(draw_tradeoff(networks, others))))
    if chosen:
        plots.append(("Ratios chosen by the network", Markup(draw_choices(chosen, candidates))))
    return plots


def _groups(dataset: FrameSource, methods: list[Method], rows: list[list[Row]], device: torch.device) -> list[Group]:
    """Return the worst and the typical frames of the first method, beside those of all other methods but the average.

    The row of a method is the one with the network's own choice of ratio, or else the first one.
    """
    shown = [_shown(method, ours) for method, ours in zip(methods[:-1], rows[:-1], strict=True)]
    first, average = shown[0], rows[-1][0]
    if not first.row.images:
        return []
    worst, typical = choose(first.row)
    groups = [(f"The {len(worst)} worst" if len(worst) > 1 else "The worst", worst), ("Typical", typical)]
    return [
        Group(
            title,
            first.row.name,
            [Sample(name, _scores(name, first.row, average), panels(dataset, name, shown, device)) for name in names],
        )
        for title, names in groups
    ]


def _shown(method: Method, rows: list[Row]) -> Shown:
    """Choose the row of a method whose frames are shown."""
    position = next((index for index, row in enumerate(rows) if row.name.endswith(", auto")), 0)
    return Shown(method, position, rows[position])


def _scores(name: str, row: Row, average: Row) -> list[str]:
    scores, plain = row.images[name], average.images.get(name)
    facts = [f"{scores.psnr:.2f} dB", f"SSIM {scores.ssim:.4f}"]
    facts += [f"averaging {plain.psnr:.2f} dB"] if plain else []
    if scores.ratio is not None:
        facts += [f"ratio {scores.ratio:.4g}", f"cost {scores.cost:.0%}", f"{scores.gmacs:.2f} GMACs"]
    return facts


def _about(run: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the facts on which the numbers depend, as names and values."""
    facts = {"command": " ".join(run["command"])}
    facts |= {f"weights {weights['file']}": f"SHA-256 {weights['sha256']}" for weights in run.get("checkpoints", [])}
    facts |= {"code": f"SHA-256 {run['code']}"} if "code" in run else {}
    facts |= {name: str(value) for name, value in run.get("settings", {}).items()}
    facts |= {name: str(value) for name, value in run["machine"].items()}
    return list(facts.items())
