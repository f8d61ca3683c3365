"""The report of a finished run: summary.md and curves.png, made from its TensorBoard files."""

import statistics
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import utils

from .plots import Curve, draw_curves

NEEDED = ("loss/total", "loss/reconstruction", "validation/psnr", "validation/psnr_merged", "validation/cost")


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
    rows = [
        ("steps", f"{psnr[-1][0]}"),
        ("loss, mean of the last tenth of the run", f"{statistics.mean(losses[-max(1, len(losses) // 10) :]):.5f}"),
        ("PSNR at the end", f"{psnr[-1][1]:.3f} dB"),
        ("PSNR of best.pth", f"{best:.3f} dB, at step {best_step}"),
        ("PSNR of the merged frame at the end", f"{curves['validation/psnr_merged'][-1][1]:.3f} dB"),
        ("mean cost at the end", f"{curves['validation/cost'][-1][1]:.3f}"),
    ]
    shares = [(name.rpartition("_")[2], curve) for name, curve in curves.items() if "validation/share/" in name]
    rows.append(("ratios at the end", ", ".join(f"{ratio}: {curve[-1][1]:.0%}" for ratio, curve in shares)))
    rows.append(("samples per second, median", f"{_median(curves['machine/samples_per_second']):.2f}"))
    rows.append(("waiting for the loader, median", f"{_median(curves['machine/loader_share']):.1%}"))
    rows.append(("peak memory", f"{max(value for _, value in curves['machine/memory_mebibytes']):.0f} MiB"))
    return rows


def _median(curve: Curve) -> float:
    return statistics.median(value for _, value in curve)
