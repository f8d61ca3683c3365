"""Save checkpoints so that a crash cannot damage them, and read them without running any code in them.

There are two formats. The suffix chooses: .safetensors, or PyTorch's own for any other. A .safetensors file holds
tensors and text. In a checkpoint of this project, each text is one entry as JSON: "config" is the network's
configuration, for example. Both formats carry a checksum of all entries, and reading verifies it.
"""

import hashlib
import json
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .startup import MissingPackageError, require
from .whole_files import atomic_path, describe_stranger, naming_failed_write

SUFFIX = ".safetensors"
FORMAT = {"format": "pt"}  # what other readers of safetensors expect to find
CHECKSUM = "sha256"  # the entry with the checksum of all others


def save_checkpoint(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write `state` to a file. A crash leaves either the old file or the new one.

    A path that ends in .safetensors selects that format, which holds weights and entries that JSON can hold.

    Args:
        path: the file to write.
        state: a dict of tensors, numbers, strings, lists and dicts.
    Raises:
        OSError: the file cannot be written.
        ValueError: safetensors cannot hold `state`, or is not installed.
    """
    library = require("safetensors.torch", f"writing {path}") if Path(path).suffix == SUFFIX else None
    with atomic_path(path) as temporary, naming_failed_write(path):
        if library:
            _save_safetensors(temporary, state, library)
        else:
            _save(temporary, state)


def load_checkpoint(path: str | os.PathLike, *, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint of this project, a plain state dict, or the released weights as downloaded.

    The format is PyTorch's, or safetensors if the name ends in .safetensors.

    Returns:
        A dict with at least "model", the state dict. A prefix `module.` (of DistributedDataParallel) is removed. Other
        names are those of the file. `WaveletVFI.load_state_dict` takes our names and the released ones.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a checkpoint, is truncated or damaged, or holds no weights; or safetensors is needed
            and not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    read = _load_safetensors if path.suffix == SUFFIX else _load
    try:
        content = read(path, map_location)
    except MissingPackageError:
        raise
    except DamagedFile as error:
        raise ValueError(f"{path} is damaged: {error}; copy or download it again, or use another") from error
    except Exception as error:  # a wrong file can make the reader fail in any way
        if stranger := describe_stranger(path):
            raise ValueError(f"{path} is not a checkpoint but {stranger}") from error
        if isinstance(error, pickle.UnpicklingError):  # PyTorch's own message advises to load the file unsafely
            raise ValueError(
                f"{path} is not a checkpoint, or holds more than tensors and plain values, which is not loaded since "
                "it could run any code; save the network's state_dict() alone"
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} is not a checkpoint that can be read safely, or it is truncated ({type(error).__name__}: {reason})"
        ) from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds a {type(content).__name__}, not a checkpoint or a state dict")
    if not isinstance(content.get("model"), dict):
        content = {"model": content}
    weights = content["model"]
    foreign = [str(key) for key, value in weights.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if foreign or not weights:
        raise ValueError(
            f"{path} holds no state dict: {', '.join(foreign[:3]) or 'nothing'} found where weights belong"
        )
    content["model"] = {key.removeprefix("module."): value for key, value in weights.items()}
    return content


class DamagedFile(ValueError):
    """The content of a file does not fit its checksum."""


def _load(file: Path, device: str | torch.device) -> Any:
    if zipfile.is_zipfile(file):  # as since PyTorch 1.6; zip files have a checksum for each entry
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged:
            raise DamagedFile(f"its entry {damaged} does not fit its checksum")
    content = torch.load(file, map_location=device, weights_only=True)
    return _verified(content) if isinstance(content, dict) else content


def _load_safetensors(file: Path, device: str | torch.device) -> dict[str, Any]:
    safe_open = require("safetensors", f"reading {file}").safe_open
    with safe_open(file, framework="pt", device=str(device)) as opened:
        texts = {key: text for key, text in (opened.metadata() or {}).items() if key not in FORMAT}
        weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    texts = _verified({"model": weights} | texts)
    return {key: _parse(text) for key, text in texts.items() if key != "model"} | {"model": weights}


def _save_safetensors(file: Path, state: dict[str, Any], library: Any) -> None:
    """Write with `library`, the module safetensors.torch."""
    weights, texts = _split(state)
    checksum = _checksum({"model": weights} | texts)
    try:
        library.save_file(weights, file, metadata=texts | FORMAT | {CHECKSUM: checksum})
    except require("safetensors", f"writing {file}").SafetensorError as error:
        raise OSError(str(error)) from error


def _save(file: Path, state: dict[str, Any]) -> None:
    if isinstance(state.get("model"), dict):  # other readers take all entries of a plain state dict for weights
        state = {key: value for key, value in state.items() if key != CHECKSUM}
        state[CHECKSUM] = _checksum(state)
    with file.open("wb") as handle:  # given a name instead, PyTorch would not name the reason of a failed write
        torch.save(state, handle)


def _verified(content: dict[str, Any]) -> dict[str, Any]:
    """Return the entries without their checksum. Raises DamagedFile if there is a checksum and it does not fit."""
    entries = {key: value for key, value in content.items() if key != CHECKSUM}
    if CHECKSUM in content and content[CHECKSUM] != _checksum(entries):
        raise DamagedFile("its content does not fit its checksum")
    return entries


def _split(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the weights, each in memory of its own, and all other entries as JSON."""
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


def _checksum(content: dict[str, Any]) -> str:
    """Return the SHA-256 of all keys and values in hexadecimal digits. Types and shapes of tensors count, too."""
    digest = hashlib.sha256()
    for part in _parts(content):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a value. Their order does not depend on the order of entries in dicts."""
    if isinstance(value, Tensor):
        yield f"{value.dtype} {list(value.shape)}\n".encode()
        yield value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
    elif isinstance(value, dict):
        yield f"{len(value)} entries\n".encode()
        for key in sorted(value, key=repr):
            yield f"{key!r}\n".encode()
            yield from _parts(value[key])
    elif isinstance(value, list | tuple):
        yield f"{len(value)} in a row\n".encode()
        for item in value:
            yield from _parts(item)
    else:
        yield f"{value!r}\n".encode()


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # another program wrote it
        return text
