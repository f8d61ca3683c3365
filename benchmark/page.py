"""One self-contained page about a benchmark: table, drawings, and frames to look at."""

import html
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from utils import atomic_path

from .methods import Method, Network
from .plots import draw_choices, draw_tradeoff
from .report import format_failures, format_perfect, table
from .samples import Panel, choose, panels
from .scores import Results, Row

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1c1e22; background: #f6f7f9;
  margin: 0 auto; padding: 28px 32px 60px; max-width: 1320px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 19px; margin: 34px 0 10px; }
p.about, figcaption, .note { color: #62666e; } p { margin: 4px 0; }
.card { background: #fff; border: 1px solid #e2e4e8; border-radius: 10px; padding: 14px 18px; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { padding: 5px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid #eceef1; }
th { font-weight: 600; color: #62666e; font-size: 13px; white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
td { font-variant-numeric: tabular-nums; } tr.published td { color: #62666e; } tr:last-child td { border-bottom: 0; }
.plots { display: flex; flex-wrap: wrap; gap: 18px; }
.plots figure { flex: 1 1 480px; margin: 0; min-width: 0; overflow-x: auto; overflow-wrap: anywhere; }
.plots svg { width: 100%; height: auto; font-family: inherit; }
.failed { border-color: #e0a4a0; background: #fdf3f2; white-space: pre-line; overflow-wrap: anywhere; }
.note::first-letter { text-transform: uppercase; }
.sample { margin: 0 0 16px; } .sample header { display: flex; flex-wrap: wrap; gap: 4px 22px; margin-bottom: 8px; }
.sample header b { overflow-wrap: anywhere; }
.panels { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; }
.panels figure { margin: 0; } .panels img { width: 100%; display: block; border-radius: 4px; background: #000;
  max-height: 480px; object-fit: contain; }
figcaption { font-size: 13px; margin: 4px 0 8px; } figcaption b { color: #1c1e22; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; } dt { color: #62666e; }
dd { margin: 0; overflow-wrap: anywhere; } code { font-size: 13px; }
@media (max-width: 700px) {
  body { padding: 16px 12px 40px; } .card { padding: 10px 12px; } .plots svg { min-width: 480px; }
  td:first-child { white-space: normal; min-width: 8em; overflow-wrap: anywhere; }
  .panels { grid-template-columns: repeat(2, 1fr); gap: 4px 8px; } dl { grid-template-columns: 1fr; gap: 0; }
}
"""
NOTES = """PSNR and SSIM (3-D Gaussian window over rows, columns and colours) are means over frames of the prediction
in floating point; the 8-bit PSNR and IE, the mean absolute error in grey levels, of the prediction rounded to 8 bits.
GMACs are counted by the rules of the published tables; executed are the multiply-accumulates of convolutions, linear
layers and matrix products as they were computed. Time is the median of all predictions, memory what the first one took
at its peak. What a row of a sweep executes, takes and needs alone is not known: those cells are empty."""


def write_page(
    path: Path,
    dataset: Dataset,
    methods: list[Method],
    results: Results,
    run: dict[str, Any],
    *,
    device: torch.device,
    complete: bool = False,
) -> None:
    """Write the page; it needs no other file and asks for nothing.

    Args:
        dataset, methods: what `evaluate` was given, the average last: a few frames are predicted again.
        results: what it returned. run: from `describe_run`. complete: as for `write_report`.
    """
    rows = _rows_of(methods, results)
    body = [
        _head(results, run),
        _table(results, complete),
        _failures(results),
        _plots(methods, rows),
        *_samples(dataset, methods, rows, results, device),
        _about(run),
    ]
    title = html.escape(results.title)
    with atomic_path(path) as temporary:
        temporary.write_text(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
            f"<body>\n{''.join(body)}</body></html>\n"
        )


def _rows_of(methods: list[Method], results: Results) -> list[list[Row]]:
    """The rows of every method."""
    rows = iter(results.rows)
    return [[next(rows) for _ in method.rows] for method in methods]


def _head(results: Results, run: dict[str, Any]) -> str:
    machine = run["machine"]
    threads = f", {machine['threads']} threads" if machine["device"] == "cpu" else ""
    facts = [
        f"{len(results.names)} samples",
        run["date"],
        f"{machine['device']}{threads}",
        f"PyTorch {machine['torch']}",
    ]
    about = html.escape(" · ".join([*facts, run.get("precision", "")]).removesuffix(" · "))
    return f'<h1>{html.escape(results.title)}</h1>\n<p class="about">{about}</p>\n'


def _table(results: Results, complete: bool) -> str:
    first, *rest = table(results, complete=complete)
    lines = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in first) + "</tr>"]
    for position, line in enumerate(rest):
        kind = ' class="published"' if position >= len(results.rows) else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>")
    return f'<h2>Means</h2>\n<div class="card scroll"><table>\n{chr(10).join(lines)}\n</table></div>\n'


def _failures(results: Results) -> str:
    text, perfect = format_failures(results), format_perfect(results)
    lines = html.escape(text.replace("; ", "\n"))
    note = f'<p class="note">{html.escape(perfect)}</p>\n' if perfect else ""
    return note + (f'<h2>Not in the means</h2>\n<div class="card failed">{lines}</div>\n' if text else "")


def _plots(methods: list[Method], rows: list[list[Row]]) -> str:
    """Accuracy against operations, and the ratios chosen, where there is something to draw."""
    networks, chosen, candidates = {}, [], set()
    for method, ours in zip(methods, rows, strict=True):
        if isinstance(method, Network) and any(row.mean for row in ours):
            networks[method.name] = [row for row in ours if row.mean]
            options = zip(method.options, ours, strict=True)
            free = [
                row for option, row in options if row.images and option.get("ratio") is option.get("budget") is None
            ]
            chosen += free
            candidates.update(method.model.config.ratios if free else ())
    figures = [("Accuracy against operations", draw_tradeoff(networks))] if networks else []
    figures += [("Ratios chosen by the network", draw_choices(chosen, candidates))] if chosen else []
    cards = "".join(f"<figure class='card'><b>{title}</b>{svg}</figure>\n" for title, svg in figures)
    return f'<h2>Ratios</h2>\n<div class="plots">{cards}</div>\n' if cards else ""


def _samples(
    dataset: Dataset, methods: list[Method], rows: list[list[Row]], results: Results, device: torch.device
) -> list[str]:
    """The worst frames and typical ones of the first method: of its own choice of ratio, or else of its first row."""
    method, ours = methods[0], rows[0]
    position = next((index for index, row in enumerate(ours) if row.name.endswith(", auto")), 0)
    row, average = ours[position], rows[-1][0]
    if not row.images:
        return []
    worst, typical = choose(row)
    parts = []
    for title, names in ((f"The {len(worst)} worst", worst), ("Typical", typical)):
        parts.append(f'<h2>{title}</h2>\n<p class="note">by the PSNR of {html.escape(row.name)}</p>\n')
        parts += [_sample(name, row, average, panels(dataset, name, method, position, device)) for name in names]
    return parts


def _sample(name: str, row: Row, average: Row, pictures: list[Panel]) -> str:
    scores, plain = row.images[name], average.images.get(name)
    facts = [f"{scores.psnr:.2f} dB", f"SSIM {scores.ssim:.4f}", f"averaging {plain.psnr:.2f} dB" if plain else ""]
    if scores.ratio is not None:
        facts += [f"ratio {scores.ratio:.4g}", f"cost {scores.cost:.0%}", f"{scores.gmacs:.2f} GMACs"]
    shown = "".join(
        f'<figure><img loading="lazy" src="{panel.url}" alt="{html.escape(panel.heading)}">'
        f"<figcaption><b>{html.escape(panel.heading)}</b> {html.escape(panel.caption)}</figcaption></figure>\n"
        for panel in pictures
    )
    facts = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts if fact)
    header = f"<header><b>{html.escape(name)}</b>{facts}</header>"
    return f'<div class="card sample">{header}<div class="panels">{shown}</div></div>\n'


def _about(run: dict[str, Any]) -> str:
    facts = {"command": " ".join(run["command"])}
    facts |= {f"weights {weights['file']}": f"SHA-256 {weights['sha256']}" for weights in run.get("checkpoints", [])}
    facts |= {"code": f"SHA-256 {run['code']}"} if "code" in run else {}
    facts |= {name: str(value) for name, value in run.get("settings", {}).items()}
    facts |= {name: str(value) for name, value in run["machine"].items()}
    pairs = "".join(f"<dt>{html.escape(k)}</dt><dd><code>{html.escape(v)}</code></dd>\n" for k, v in facts.items())
    return (
        f'<h2>How the numbers came about</h2>\n<div class="card"><dl>{pairs}</dl>\n<p class="note">{NOTES}</p></div>\n'
    )
