"""The results of a benchmark as text: a table for the screen, and files that also name the origin of the numbers."""

import csv
import datetime
import json
import math
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from utils import atomic_path

from .scores import Results, Scores


class Column(NamedTuple):
    """A column of the tables.

    field: a field of `Scores`, or "memory".
    heading: its heading.
    form: writes a value as text.
    """

    field: str
    heading: str
    form: Callable[[float], str]


COLUMNS = (
    Column("psnr", "PSNR (dB)", "{:.3f}".format),
    Column("ssim", "SSIM", "{:.4f}".format),
    Column("psnr8", "8-bit PSNR", "{:.3f}".format),
    Column("psnr_luma", "luma PSNR", "{:.3f}".format),
    Column("ie", "IE", "{:.3f}".format),
    Column("lpips", "LPIPS", "{:.4f}".format),
    Column("dists", "DISTS", "{:.4f}".format),
    Column("gmacs", "GMACs", "{:.2f}".format),
    Column("executed_gmacs", "executed", "{:.2f}".format),
    Column("ms", "ms per pair", "{:.1f}".format),
    Column("memory", "memory (MiB)", "{:.0f}".format),
)
#: Published figures, shown beside ours if the whole set was evaluated. By set: network, PSNR (dB), SSIM or None.
PUBLISHED: dict[str, list[tuple[str, float, float | None]]] = {
    "Vimeo90K": [
        ("WaveletVFI", 35.58, 0.978),
        ("IFRNet-S", 35.59, 0.979),
        ("RIFE", 35.62, 0.978),
        ("IFRNet", 35.80, 0.979),
        ("UPR-Net", 36.03, 0.980),
        ("EMA-VFI-small", 36.07, 0.980),
        ("IFRNet-L", 36.20, 0.981),
        ("AMT-G", 36.53, None),
        ("EMA-VFI", 36.64, 0.982),
    ],
}
PUBLISHED_NOTE = "published"


def table(results: Results, *, complete: bool = False) -> list[list[str]]:
    """Return the headings, and a line of cells for every row of the results.

    A cell is empty if nothing was measured. A column without any value is left out.

    Args:
        complete: True if the whole set was evaluated. Then published figures follow.
    """
    found = [{"memory": row.memory} | (row.mean._asdict() if row.mean else {}) for row in results.rows]
    columns = [column for column in COLUMNS if any(values.get(column.field) is not None for values in found)]
    lines = [["", "frames", *(column.heading for column in columns)]]
    for row, values in zip(results.rows, found, strict=True):
        cells = [values.get(column.field) for column in columns]
        texts = ["" if value is None else c.form(value) for c, value in zip(columns, cells, strict=True)]
        lines.append([row.name, str(len(row.images)), *texts])
    if complete:
        for name, psnr, ssim in PUBLISHED.get(results.title, ()):
            known = {"psnr": psnr, "ssim": ssim}
            texts = [f"{known[c.field]:g}" if known.get(c.field) else "" for c in columns]
            lines.append([f"{name} ({PUBLISHED_NOTE})", "", *texts])
    return lines


def format_table(lines: list[list[str]]) -> str:
    """Format a table for the screen, with names aligned to the left and figures to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = [
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in shown)


def format_markdown(lines: Sequence[Sequence[str]], *, figures: str = "---:") -> str:
    """Format a table as Markdown. `figures` is the alignment of all columns but the first."""
    rule = ["---"] + [figures] * (len(lines[0]) - 1)
    return "".join(f"| {' | '.join(line)} |\n" for line in (lines[0], rule, *lines[1:]))


def list_failures(results: Results) -> list[str]:
    """List the first twenty frames that were not scored, with their reasons, and the number of the others."""
    shown = []
    for name, row, reason in results.failures[:20]:
        shown.append(f"{name} by {row} ({reason})" if row else f"{name} ({reason})")
    return shown + ([f"and {len(results.failures) - 20} more"] if len(results.failures) > 20 else [])


def format_failures(results: Results) -> str:
    """Return a sentence about the frames that were not scored, or an empty text if all were."""
    return f"{len(results.failures)} not scored: {'; '.join(list_failures(results))}" if results.failures else ""


def format_perfect(results: Results) -> str:
    """Return a sentence about means that perfect frames make infinite, with the means of the other frames.

    The text is empty if there is no such mean.
    """
    parts = []
    for row in results.rows:
        for column in COLUMNS:
            values = [getattr(scores, column.field, None) for scores in row.images.values()]
            rest = [value for value in values if value != math.inf]
            if len(rest) < len(values):
                without = column.form(math.fsum(rest) / len(rest)) if rest else "nothing"
                parts.append(f"{row.name}, {column.heading}: {len(values) - len(rest)}, without them {without}")
    return f"frames without any error make a mean infinite: {'; '.join(parts)}" if parts else ""


def describe_run(setting: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the origin of the numbers: command, date, versions and machine, and the caller's `setting`."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(device),
        **setting,
    }


def write_report(folder: Path, results: Results, run: dict[str, Any], *, complete: bool = False) -> None:
    """Write report.json (everything, with every frame), images.csv and table.md. No file is ever half written.

    Args:
        folder: the folder of the files, made if needed.
        results: the result of `evaluate`.
        run: the result of `describe_run`.
        complete: as for `table`.
    """
    rows = [
        {
            "name": row.name,
            "mean": jsonable(row.mean) if row.mean else None,
            "memory_mebibytes": row.memory,
            "images": [{"name": name} | jsonable(scores) for name, scores in row.images.items()],
        }
        for row in results.rows
    ]
    failures = [failure._asdict() for failure in results.failures]
    report = {"set": results.title, "samples": len(results.names), **run, "failures": failures, "rows": rows}
    write_json(folder / "report.json", report)
    with atomic_path(folder / "images.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "image", *Scores._fields])
        writer.writerows([row.name, name, *scores] for row in results.rows for name, scores in row.images.items())
    write_text(folder / "table.md", format_markdown(table(results, complete=complete)))


def write_text(path: Path, text: str) -> None:
    """Write a text file that is never half written."""
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file that is never half written."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return the facts about this machine on which numbers depend: system, versions, threads, the device's name."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def jsonable(row: NamedTuple) -> dict[str, Any]:
    """Return the fields of a row as JSON can hold them. An infinite PSNR (of equal frames) becomes the string "inf"."""
    return {name: "inf" if value == math.inf else value for name, value in row._asdict().items()}
