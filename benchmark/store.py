"""Scores of every image, kept as they come, so that a run that was stopped goes on where it was."""

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
    """Lines of JSON in `folder`, a file per process: {"key", "name", "scores"}.

    The key stands for everything that decides a sample's scores: see `key_of`. `found` has what was there before.
    """

    def __init__(self, folder: Path, process: utils.Process, *, resume: bool):
        """Open the store on all processes at once: with `resume`, to add to it; else the old one is removed."""
        folder.mkdir(parents=True, exist_ok=True)
        found = _read(folder) if resume else {}
        if not resume and process.is_main:
            for path in folder.glob("images.rank*.jsonl"):
                path.unlink()
        if process.world_size > 1:  # also keeps the others from writing before the old files are gone
            shares = [None] * process.world_size
            dist.all_gather_object(shares, found)
            found = {key: scores for share in shares for key, scores in share.items()}
        self.found: Found = found
        self._path = folder / f"images.rank{process.rank}.jsonl"
        if self._path.is_file() and not self._path.read_bytes().endswith(b"\n"):  # killed within a line
            with self._path.open("a") as file:
                file.write("\n")

    def add(self, key: str, name: str, scores: list[list[Scores]]) -> None:
        """Keep the scores of a sample, per frame and row."""
        line = {"key": key, "name": name, "scores": [[list(row) for row in frame] for frame in scores]}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def key_of(identity: dict[str, Any], files: tuple[Path, ...]) -> str:
    """Return the key of a method (with the set) and a sample's files; it changes with each of them."""
    stamps = [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]
    return digest(json.dumps([identity, stamps], sort_keys=True).encode())


def surroundings(device: torch.device) -> dict[str, str]:
    """Return what scores depend on besides method and set: this code, PyTorch, and the kind of device."""
    files = sorted(path for folder in DECIDING for path in (ROOT / folder).rglob("*.py"))
    code = digest(b"".join(path.read_bytes() for path in [*files, ROOT / "utils.py"]))
    return {"code": code, "torch": torch.__version__, "device": device.type}


def digest(content: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _read(folder: Path) -> Found:
    """All whole lines of all files."""
    found: Found = {}
    for path in sorted(folder.glob("images.rank*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                entry = json.loads(line)
                scores = [[Scores(*row) for row in frame] for frame in entry["scores"]]
            except (ValueError, KeyError, TypeError):  # a line that a killed process did not finish, or a damaged one
                continue
            found[entry["key"], entry["name"]] = scores
    return found
