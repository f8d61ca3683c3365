"""Keep the scores of every image on disk as they are computed, so that a stopped run can continue."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import utils

from .scores import Scores

Found = dict[tuple[str, str], list[list[Scores]]]  # by key and name: scores per frame and row
ROOT = Path(__file__).resolve().parent.parent
DECIDING = ("models", "pytorch_wavelets", "datasets", "video", "benchmark", "common")  # the code that scores depend on


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
