"""Save checkpoints so that a crash cannot damage them, and read them without running any code in them."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import weight_files
from .whole_files import atomic_path, describe_stranger, naming_failed_write


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
    write = weight_files.writer(Path(path))
    with atomic_path(path) as temporary, naming_failed_write(path):
        write(temporary, state)


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
    read = weight_files.reader(path)
    try:
        content = read(path, map_location)
    except weight_files.DamagedFile as error:
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
