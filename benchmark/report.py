"""What a benchmark leaves behind: a table on the screen, and a file that says how the numbers came about."""

import datetime
import hashlib
import json
import math
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from utils import atomic_path

from .runner import Results, Scores


def format_table(mean: Scores, *, model: str) -> str:
    """Means as lines of text: a row for the model, and one for the plain average of the two frames."""
    rows = [
        (model, mean.psnr, mean.ssim, f"{mean.gmacs:.2f}", f"{mean.executed_gmacs:.2f}"),
        ("average of the two frames", mean.psnr_average, mean.ssim_average, "-", "-"),
    ]
    width = max(len(name) for name, *_ in rows)
    lines = [f"{'':{width}}  PSNR (dB)    SSIM  GMACs (as published)  (executed)"]
    lines += [
        f"{name:{width}}  {psnr:9.3f}  {ssim:6.4f}  {gmacs:>20}  {executed:>10}"
        for name, psnr, ssim, gmacs, executed in rows
    ]
    return "\n".join(lines)


def write_report(
    path: str | os.PathLike,
    results: Results,
    *,
    checkpoint: Path,
    device: torch.device,
    ratio: float | None = None,
    budget: float | None = None,
) -> None:
    """Write the means, every image, and all that is needed to get them again, as JSON.

    Args:
        path: the file; its folder is made if needed, and an old file is replaced at once or not at all.
        results: from `evaluate`. Infinite PSNR (a perfect frame) is written as the string "inf".
        checkpoint: the weights used; the report holds their name and SHA-256.
        device: where the model ran.
        ratio, budget: as given to `evaluate`; both null stand for the classifier's choice.
    """
    report = {
        "mean": _jsonable(results.mean),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "checkpoint": {"file": checkpoint.name, "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest()},
        "ratio": ratio,
        "budget": budget,
        "machine": describe_machine(device),
        "images": [{"name": n} | _jsonable(s) for n, s in zip(results.names, results.images, strict=True)],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")


def describe_machine(device: torch.device) -> dict[str, Any]:
    """What numbers depend on besides the code: system, versions, threads, and the device's name."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
    }


def _jsonable(scores: Scores) -> dict[str, float | str]:
    return {name: "inf" if math.isinf(value) else value for name, value in scores._asdict().items()}
