"""The scores of every frame, their means, and a store on disk, so that a stopped run can continue."""

import hashlib
import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

import utils

from .methods import Prediction
from .metrics import Metric, interpolation_error, psnr, psnr_luma, rounded, ssim

ROOT = Path(__file__).resolve().parent.parent
DECIDING = ("models", "pytorch_wavelets", "datasets", "video", "benchmark", "common")  # the code that scores depend on


class Scores(NamedTuple):
    """The scores of one frame, or the means over many. None means that a score was not measured or does not exist.

    psnr: the PSNR in dB, of the prediction in floating point.
    ssim: its SSIM.
    psnr8: the PSNR in dB, of the prediction rounded to 8 bits.
    ie: its interpolation error in grey levels.
    psnr_luma: its PSNR of the luma in dB, for sets whose published figure this is.
    lpips, dists: LPIPS and DISTS of the prediction in floating point.
    ratio: the threshold ratio.
    cost: multiply-accumulates of the sparse convolutions, as a fraction of the dense ones.
    gmacs: 10^9 operations, as published tables count them.
    executed_gmacs: 10^9 multiply-accumulates that were computed.
    ms: the time of a prediction in milliseconds. The mean has the median here.
    """

    psnr: float
    ssim: float
    psnr8: float
    ie: float
    psnr_luma: float | None = None
    lpips: float | None = None
    dists: float | None = None
    ratio: float | None = None
    cost: float | None = None
    gmacs: float | None = None
    executed_gmacs: float | None = None
    ms: float | None = None


class Failure(NamedTuple):
    """A frame that was not scored, and so is left out of the means.

    name: the name of the frame or of the sample.
    row: the row of the tables, or "" for all rows.
    reason: the reason in words.
    """

    name: str
    row: str
    reason: str


class Row(NamedTuple):
    """A row of the tables.

    name: its name.
    images: the scores of every frame by its name, in the order of the set.
    mean: the means, or None if there is no frame.
    memory: the peak of the first prediction in MiB, or None if it was not measured.
    """

    name: str
    images: dict[str, Scores]
    mean: Scores | None
    memory: float | None = None


class Results(NamedTuple):
    """The results on one set.

    title: the title of the set.
    names: the names of all samples, also of those without scores.
    rows: the rows of the tables.
    failures: the frames that were not scored.
    """

    title: str
    names: list[str]
    rows: list[Row]
    failures: list[Failure]


def score(
    prediction: Prediction, target: Tensor, *, luma: bool, perceptual: Mapping[str, Metric], ms: float | None
) -> list[Scores | None]:
    """Return the scores of a batch, with None for a prediction that is not finite.

    Args:
        prediction: the predicted frames (B, 3, H, W).
        target: the true frames (B, 3, H, W) in [0, 1].
        luma: also measure the PSNR of the luma.
        perceptual: further metrics by name.
        ms: the time of one prediction in milliseconds.
    """
    finite = prediction.frame.isfinite().flatten(1).all(1)
    frame = torch.where(finite.view(-1, 1, 1, 1), prediction.frame, torch.zeros_like(prediction.frame))
    byte = rounded(frame)
    columns = {
        "psnr": psnr(frame, target),
        "ssim": ssim(frame, target),
        "psnr8": psnr(byte, target),
        "ie": interpolation_error(byte, target),
    }
    if luma:
        columns["psnr_luma"] = psnr_luma(byte, target)
    columns |= {name: metric(frame, target) for name, metric in perceptual.items()}
    if output := prediction.details:
        candidate = output.candidates[0]
        columns |= {"ratio": candidate.ratio, "cost": candidate.cost, "gmacs": output.published_gmacs}
        if (executed := output.executed_gmacs) is not None:
            columns["executed_gmacs"] = executed
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    scores = [Scores(**dict(zip(columns, row, strict=True)), ms=ms) for row in values]
    return [one if whole else None for one, whole in zip(scores, finite.tolist(), strict=True)]


def mean_of(images: Mapping[str, Scores], *, by_clip: bool = False) -> Scores | None:
    """Return the means, or None if there is no frame. They are exact, and so do not depend on the order.

    Args:
        images: the scores by the names of the frames.
        by_clip: return the means over clips of the means over their frames. The names are "clip:frame" then.
    """
    if not images:
        return None
    groups: dict[str, list[Scores]] = {}
    for name, scores in images.items():
        groups.setdefault(name.rpartition(":")[0] if by_clip else "", []).append(scores)
    columns = []
    for field in Scores._fields:
        means = [_mean([getattr(scores, field) for scores in group]) for group in groups.values()]
        columns.append(_mean(means))
    times = [scores.ms for scores in images.values()]
    return Scores(*columns)._replace(ms=None if None in times else statistics.median(times))


Found = dict[tuple[str, str], list[list[Scores]]]  # by key and name: scores per frame and row


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else math.fsum(values) / len(values)


class Store:
    """A store of scores: one file per process in `folder`, with a line {"key", "name", "scores"} of JSON per sample.

    The key stands for everything that decides the scores of a sample, see `key_of`.

    Attributes:
        found: the scores of an earlier run, by key and name.
    """

    def __init__(self, folder: Path, process: utils.Process, *, resume: bool):
        """Open the store on all processes. With `resume`, keep its scores, else remove them."""
        folder.mkdir(parents=True, exist_ok=True)
        found = _read(folder) if resume else {}
        if not resume and process.is_main:
            for path in folder.glob("images.rank*.jsonl"):
                path.unlink()
        if process.world_size > 1:  # this also waits until the old files are removed
            shares = [None] * process.world_size
            dist.all_gather_object(shares, found)
            found = {key: scores for share in shares for key, scores in share.items()}
        self.found: Found = found
        self._path = folder / f"images.rank{process.rank}.jsonl"
        if self._path.is_file() and not self._path.read_bytes().endswith(b"\n"):  # a line is incomplete
            with self._path.open("a") as file:
                file.write("\n")

    def add(self, key: str, name: str, scores: list[list[Scores]]) -> None:
        """Add the scores of a sample, by frame and row."""
        line = {"key": key, "name": name, "scores": [[list(row) for row in frame] for frame in scores]}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def key_of(identity: dict[str, Any], files: tuple[Path, ...]) -> str:
    """Return the key of a sample. It changes with the method and set (`identity`), and with each of the files."""
    stamps = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]
    return digest(json.dumps([identity, stamps], sort_keys=True).encode())


def surroundings(device: torch.device) -> dict[str, str]:
    """Return the facts on which scores also depend: a digest of this code, PyTorch's version, the kind of device."""
    files = sorted(path for folder in DECIDING for path in (ROOT / folder).rglob("*.py"))
    code = digest(b"".join(path.read_bytes() for path in [*files, ROOT / "utils.py"]))
    return {"code": code, "torch": torch.__version__, "device": device.type}


def digest(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _read(folder: Path) -> Found:
    """Read all complete lines of all files."""
    found: Found = {}
    for path in sorted(folder.glob("images.rank*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                entry = json.loads(line)
                scores = [[Scores(*row) for row in frame] for frame in entry["scores"]]
            except (ValueError, KeyError, TypeError):  # a line that is incomplete or damaged
                continue
            found[entry["key"], entry["name"]] = scores
    return found
