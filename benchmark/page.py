"""The report of a benchmark as one self-contained page: the table, drawings, and frames to look at."""

from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from datasets import FrameSource

from .methods import Method, OurNetwork
from .plots import Shown, choose, draw_choices, draw_tradeoff, has_tradeoff, panels
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
    remaining = iter(results.rows)
    rows = [[next(remaining) for _ in method.rows] for method in methods]
    headings, *lines = table(results, complete=complete)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("report.html").render(
        title=results.title,
        facts=[f"{len(results.names)} samples", *_facts(run)],
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


def _facts(run: dict[str, Any]) -> list[str]:
    """Return the facts about the run for the line below the title."""
    machine = run["machine"]
    count = machine["threads"]
    threads = f", {count} thread{'s' if count > 1 else ''}" if machine["device"] == "cpu" else ""
    return [run["date"], f"{machine['device']}{threads}", f"PyTorch {machine['torch']}", run["precision"]]


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


def _groups(
    dataset: FrameSource, methods: list[Method], rows: list[list[Row]], device: torch.device
) -> list[dict[str, Any]]:
    """Return the worst and the typical frames of the first method, beside those of all other methods but the average.

    The row of a method is the one with the network's own choice of ratio, or else the first one.

    Returns:
        For each group, its "title", the name of the row whose PSNR chose the frames ("by"), and its "samples". A sample
        has the "name" of the frame, as in `Row.images`, its scores in words ("facts"), and its pictures ("panels").
    """
    shown = []
    for method, ours in zip(methods[:-1], rows[:-1], strict=True):
        position = next((index for index, row in enumerate(ours) if row.name.endswith(", auto")), 0)
        shown.append(Shown(method, position, ours[position]))
    first, average = shown[0], rows[-1][0]
    if not first.row.images:
        return []
    worst, typical = choose(first.row)
    titles = {f"The {len(worst)} worst" if len(worst) > 1 else "The worst": worst, "Typical": typical}
    groups = []
    for title, names in titles.items():
        samples = [
            {"name": name, "facts": _scores(name, first.row, average), "panels": panels(dataset, name, shown, device)}
            for name in names
        ]
        groups.append({"title": title, "by": first.row.name, "samples": samples})
    return groups


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
    facts |= {f"weights {weights['file']}": f"SHA-256 {weights['sha256']}" for weights in run["checkpoints"]}
    facts |= {"code": f"SHA-256 {run['code']}"} | run["settings"] | run["machine"]
    return [(name, str(value)) for name, value in facts.items()]
