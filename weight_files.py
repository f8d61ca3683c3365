"""What checkpoint files look like inside: PyTorch's own format, or safetensors, as the suffix says.

A .safetensors file holds tensors and text. The text of a checkpoint written here is JSON, one entry each: the network's
configuration under "config", for example.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extras import require

SUFFIX = ".safetensors"
FORMAT = {"format": "pt"}  # what other readers of safetensors expect to find

Read = Callable[[Path, str | torch.device], Any]
Write = Callable[[Path, dict[str, Any]], None]


def reader(path: Path) -> Read:
    """The function that reads such a file: (path, device) -> content. Raises MissingPackageError."""
    if path.suffix != SUFFIX:
        return lambda file, device: torch.load(file, map_location=device, weights_only=True)
    safe_open = require("safetensors", f"reading {path}").safe_open

    def read(file: Path, device: str | torch.device) -> dict[str, Any]:
        with safe_open(file, framework="pt", device=str(device)) as opened:
            entries = {key: _parse(text) for key, text in (opened.metadata() or {}).items() if key not in FORMAT}
            return entries | {"model": {name: opened.get_tensor(name) for name in opened.keys()}}  # noqa: SIM118

    return read


def writer(path: Path) -> Write:
    """The function that writes such a file: (path, state). Raises MissingPackageError; it, OSError and ValueError."""
    if path.suffix != SUFFIX:
        return _save
    library = require("safetensors.torch", f"writing {path}")
    failure = require("safetensors", f"writing {path}").SafetensorError

    def write(file: Path, state: dict[str, Any]) -> None:
        weights, texts = _parts(state)
        try:
            library.save_file(weights, file, metadata=texts | FORMAT)
        except failure as error:
            raise OSError(str(error)) from error

    return write


def _save(file: Path, state: dict[str, Any]) -> None:
    with file.open("wb") as handle:  # given a name, PyTorch writes by itself and says of no failure what it was
        torch.save(state, handle)


def _parts(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights, each in memory of its own, and all else as JSON."""
    weights = state["model"] if isinstance(state.get("model"), dict) else state
    foreign = [str(name) for name, value in weights.items() if not isinstance(value, Tensor)]
    texts = {}
    for key, value in state.items() if weights is not state else ():
        if key == "model":
            continue
        try:
            texts[key] = json.dumps(value)
        except TypeError:
            foreign.append(key)
    if foreign:
        raise ValueError(
            f"a {SUFFIX} file holds weights and what JSON can say, not {', '.join(foreign[:3])}; write a .pth file"
        )
    return {name: value.detach().clone(memory_format=torch.contiguous_format) for name, value in weights.items()}, texts


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # written by someone else
        return text
