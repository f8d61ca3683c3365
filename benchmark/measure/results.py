"""The results of a measurement of speed: tables, a JSON file, and a plot of time against cost."""

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils import atomic_path

from ..scores import digest
from ..tables import describe_machine, describe_run, format_markdown, jsonable, write_json, write_text
from .network import CLIP, FIRST, PUBLISHED, Row, Setting
from .timing import PARTS
from .tool import SHARES, STAGES, ToolRow, ToolSetting

COLUMNS = (
    *("size", "cost", "path", "ms", "time x published", "GMACs as published", "executed"),
    *("time saved / operations saved", "memory (MiB)", "memory x published", "largest difference", "PSNR (dB)"),
)
TOOL_COLUMNS = (
    *("size", "method", "frames", "seconds", "frames/s", "start-up and first frame (s)"),
    *(f"{stage} busy" for stage in STAGES),
    "time without a network",
    *("CPU: network", "codecs", "overhead"),
)
#: The colours of Okabe and Ito, which colour-blind readers can distinguish, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^Dv*"
INK, FAINT = "#222222", "#888888"


def format_tables(rows: list[Row]) -> str:
    """Return Markdown: a row per size, cost and path, and a second table with the parts if they were measured."""
    text = format_markdown([COLUMNS, *map(_cells, rows)], figures="---")
    if rows[0].parts:
        parts = (*PARTS, "whole")
        headings = [*COLUMNS[:3], *(f"{part} (ms)" for part in parts)]
        lines = [[*_case(row), *(f"{row.parts[part] * 1e3:.1f}" for part in parts)] for row in rows]
        text += "\n" + format_markdown([headings, *lines], figures="---")
    return text


def describe(setting: Setting) -> str:
    """Return one line of Markdown that explains the tables."""
    machine = describe_machine(setting.device)
    frames = " and ".join(path.name for path in setting.frames) or f"frames {FIRST} and {FIRST + 1} of the clip {CLIP}"
    tf32 = ", TF32" if setting.tf32 else ""
    calls = f"medians{' of CPU time' if setting.cpu_time else ''} of {setting.repeats} interleaved calls"
    return (
        f"{setting.checkpoint.name}; {frames}, scaled; {machine['device']}{tf32}, {setting.threads} threads, "
        f"PyTorch {machine['torch']}; {calls}. Published: path {PUBLISHED}."
    )


def write_report(folder: Path, setting: Setting, rows: list[Row]) -> str:
    """Write table.md and speed.json into a folder. Return the text of table.md."""
    report = {
        "checkpoint": {"file": setting.checkpoint.name, "sha256": digest(setting.checkpoint.read_bytes())},
        "frames": [path.name for path in setting.frames] or [f"{CLIP}:{FIRST}", f"{CLIP}:{FIRST + 1}"],
        "repeats": setting.repeats,
        "tf32": setting.tf32,
        "cpu_time": setting.cpu_time,
        "rows": [jsonable(row) for row in rows],
    }
    text = f"{describe(setting)}\n\n{format_tables(rows)}"
    write_text(folder / "table.md", text)
    write_json(folder / "speed.json", describe_run(report, setting.device))
    return text


def format_tool_table(rows: list[ToolRow]) -> str:
    """Return Markdown: a row per size and method. If a method could not run, its row has the reason."""
    return format_markdown([TOOL_COLUMNS, *map(_tool_cells, rows)], figures="---")


def write_tool_report(folder: Path, setting: ToolSetting, rows: list[ToolRow], device: torch.device) -> str:
    """Write tool.md and tool.json into a folder. Return the text of tool.md: two lines that explain, and the table."""
    machine = describe_machine(device)
    text = (
        f"The rate of {setting.length} frames of {setting.clip.name}, scaled, is doubled; {machine['device']}, "
        f"PyTorch {machine['torch']}; median of {setting.repeats} run(s). The first two rows of a size are programs. "
        f"The others are the pipeline in one process with {setting.threads} thread(s).\n"
        "Busy: the share of the time of the run; stages run at the same time. Time without a network: the time of the "
        "pipeline with a free network, as a share of this row's time. CPU: shares of the CPU time; overhead is the "
        f"share of the pipeline's own code.\n\n{format_tool_table(rows)}"
    )
    report = {
        "clip": setting.clip.name,
        "length": setting.length,
        "threads": setting.threads,
        "repeats": setting.repeats,
        "rows": [row._asdict() | {"run": row.run and row.run._asdict()} for row in rows],
    }
    write_text(folder / "tool.md", text)
    write_json(folder / "tool.json", describe_run(report, device))
    return text


def draw(path: Path, setting: Setting, rows: list[Row]) -> None:
    """Draw time against cost, both relative to the dense network, with a panel per size, and write it to `path`."""
    sizes = list(dict.fromkeys(row.size for row in rows))
    figure = Figure(figsize=(1.2 + 4.6 * len(sizes), 4.8), layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)
    for axes, size in zip(panels[0], sizes, strict=True):
        _draw_panel(axes, [row for row in rows if row.size == size])
        axes.set_title(f"{size[0]}x{size[1]}", color=INK, fontsize=11)
        axes.set_xlabel("cost: operations of the sparse convolutions, 1 = dense", color=INK)
    panels[0, 0].set_ylabel("time, 1 = published formula", color=INK)
    machine = describe_machine(setting.device)
    where = f"{machine['threads']} threads" if machine["device"] == "cpu" else machine["device"]
    figure.suptitle(f"{setting.checkpoint.name}, {where}", color=INK, fontsize=11)
    handles, names = panels[0, 0].get_legend_handles_labels()
    columns = min(len(names), 3 * len(sizes))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=160)


def _draw_panel(axes: Axes, rows: list[Row]) -> None:
    """Draw the rows of one size."""
    others = [path for path in dict.fromkeys(row.path for row in rows) if path != str(PUBLISHED)]
    styles = {str(PUBLISHED): {"color": FAINT, "marker": "."}}
    for index, path in enumerate(others):
        styles[path] = {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}
    for path, style in styles.items():
        points = sorted((row.cost, row.relative) for row in rows if row.path == path)
        name = "published formula" if path == str(PUBLISHED) else path
        axes.plot(*zip(*points, strict=True), label=name, linewidth=1.8, markersize=5, **style)
    # The time of the published formula if it fell as its operations do. A path with fewer operations can be faster.
    ideal = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1.3, "label": "ideal: time as operations"}
    axes.plot([0, 1], [rows[0].fixed, 1], **ideal)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, max(1.1, 1.05 * max(row.relative for row in rows)))
    tidy(axes)


def tidy(axes: Axes) -> None:
    """Give axes the grid, the frame and the letters that all drawings have."""
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)


def _case(row: Row) -> list[str]:
    """Return the cells with which the lines of both tables begin."""
    missed = f" (asked {row.asked:g})" if abs(row.cost - row.asked) > 0.02 else ""
    return [f"{row.size[0]}x{row.size[1]}", f"{row.cost:.3f}{missed}", row.path]


def _cells(row: Row) -> list[str]:
    return [
        *(*_case(row), f"{row.seconds * 1e3:.1f}", f"{row.relative:.3f}"),
        *(f"{row.published_gmacs:.2f}", f"{row.executed_gmacs:.2f}", _optional(row.saved, ".2f")),
        *(_optional(row.memory, ".0f"), _optional(row.relative_memory, ".2f")),
        *(f"{row.difference:.1e}", f"{row.psnr:.1f}"),
    ]


def _tool_cells(row: ToolRow) -> list[str]:
    name, run = [f"{row.size[0]}x{row.size[1]}", row.method], row.run
    if run is None:
        return [*name, row.note, *[""] * (len(TOOL_COLUMNS) - 3)]
    stages = run.stages or {}
    shares = [_optional(stages[stage] / run.seconds if stages else None, ".0%") for stage in STAGES]
    times = (str(run.frames), f"{run.seconds:.2f}", f"{run.frames / run.seconds:.2f}", _optional(run.first, ".2f"))
    whole = sum(run.cpu.values()) if run.cpu else 0
    work = [_optional(run.cpu[part] / whole if run.cpu else None, ".1%") for part in SHARES]
    return [*name, *times, *shares, _optional(row.free, ".1%"), *work]


def _optional(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
