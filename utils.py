"""Checkpoints, processes and seeds: what every script needs and no paper describes.

Images are read and written by `image_files`, files by `whole_files`; their functions have names here, too.
"""

import importlib
import logging
import os
import pickle
import random
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

import weight_files
from image_files import has_alpha as has_alpha
from image_files import image_to_tensor as image_to_tensor
from image_files import read_image as read_image
from image_files import read_layers as read_layers
from image_files import tensor_to_image as tensor_to_image
from image_files import write_image as write_image
from startup import keep_freed_memory as keep_freed_memory
from startup import run_script as run_script
from whole_files import STRANGE_HEAD as STRANGE_HEAD
from whole_files import atomic_path as atomic_path
from whole_files import describe_strange_head as describe_strange_head
from whole_files import describe_stranger as describe_stranger
from whole_files import naming_failed_write as naming_failed_write
from whole_files import short_name as short_name

logger = logging.getLogger("waveletvfi")


class Process(NamedTuple):
    """One process of a (possibly distributed) run.

    rank, world_size: position among all processes and their number; local_rank: position on this host.
    device: where this process computes.
    """

    rank: int
    world_size: int
    local_rank: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def save_checkpoint(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that a crash leaves the old file or the new one.

    A path that ends in .safetensors is written in that format: weights, and entries that JSON can hold.

    Raises:
        OSError: the file cannot be written. ValueError: .safetensors cannot hold `state`, or is not installed.
    """
    write = weight_files.writer(Path(path))
    with atomic_path(path) as temporary, naming_failed_write(path):
        write(temporary, state)


def load_checkpoint(path: str | os.PathLike, *, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint written by this project, a plain state dict, or the released weights as downloaded.

    PyTorch's format, or safetensors where the name ends so.

    Returns:
        A dict with at least "model": the state dict, a `module.` prefix (left by DistributedDataParallel) removed.
        Names are as in the file; `WaveletVFI.load_state_dict` takes our names and the released ones.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a checkpoint, truncated or damaged, or it holds no weights; safetensors is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    read = weight_files.reader(path)
    try:
        content = read(path, map_location)
    except weight_files.DamagedFile as error:
        raise ValueError(f"{path} is damaged: {error}; copy or download it again, or use another") from error
    except Exception as error:  # the reader is driven by the file's bytes and fails in as many ways as there are files
        if stranger := describe_stranger(path):
            raise ValueError(f"{path} is not a checkpoint but {stranger}") from error
        if isinstance(error, pickle.UnpicklingError):  # PyTorch's own words advise to load the file unsafely
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


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sorted by name, 2 before 10, -2 before -1."""
    return sorted(paths, key=lambda path: (split_numbers(path.name), path.name))


def split_numbers(name: str) -> list[str | int]:
    """Text in small letters and numbers in turn, text first, so that like meets like where names are compared.

    A hyphen is a sign at the beginning and after "_", "(" and "="; elsewhere it separates, as in "frame-2" and dates.
    """
    parts = re.split(r"((?:(?:^|(?<=[_(=]))-)?\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def find_function(text: str, role: str) -> Callable[..., Any]:
    """A function of two tensors by "module:function"; modules are found in the working folder too.

    Args:
        role: what it is for, for errors.
    Raises:
        ValueError: another form, no such module or function, or nothing that can be called.
    """
    module, _, name = text.partition(":")
    if not (module and name):
        raise ValueError(f"a {role} is named module:function, got {text!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the module is anybody's
        raise ValueError(f"the {role} {text} cannot be had: {error} ({type(error).__name__})") from error
    if not callable(function):
        raise ValueError(f"the {role} {text} is a {type(function).__name__}, not a function of two tensors")
    return function


def init_distributed(device: str = "auto") -> Process:
    """Join the process group that torchrun or torch.distributed.launch announces, if any.

    Args:
        device: "auto" (CUDA when there is one), "cpu", "cuda", "mps", or a full name such as "cuda:1".
    """
    name = pick_device(device)
    rank, world_size, local_rank = (
        int(os.environ.get(key, default)) for key, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    if name.type == "cuda" and name.index is None:
        name = torch.device("cuda", local_rank)
        torch.cuda.set_device(name)
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        store, _, _ = next(rendezvous("env://"))
        # torchrun keeps its store when it restarts: on one host, an attempt must not find the addresses of the last.
        on_one_host = os.environ.get("GROUP_WORLD_SIZE") == "1"
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT") if on_one_host else "any"
        store = dist.PrefixStore(f"attempt {attempt}", store)
        backend = "nccl" if name.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    return Process(rank, world_size, local_rank, name)


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The named device, or the best one for "auto". Raises ValueError for a device this machine does not have."""
    if device == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {str(device)!r} cannot be used here ({reason}); try --device cpu") from error
    return torch.device(device)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
