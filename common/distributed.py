"""Processes, devices and seeds."""

import os
import random
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous


class Process(NamedTuple):
    """One process of a run, which may have several.

    rank: position among all processes.
    world_size: number of all processes.
    local_rank: position on this host.
    device: the device on which this process computes.
    """

    rank: int
    world_size: int
    local_rank: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True for the process of rank 0, which writes files and prints."""
        return self.rank == 0


def init_distributed(device: str = "auto") -> Process:
    """Join the process group that torchrun or torch.distributed.launch announces, if any.

    Args:
        device: "auto" (the best device), "cpu", "cuda", "mps", or a full name such as "cuda:1".
    Returns:
        This process. Without a launcher, it is the only one.
    Raises:
        ValueError: this machine does not have the device.
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
        # torchrun keeps its store when it restarts. On one host, an attempt must not find older addresses.
        on_one_host = os.environ.get("GROUP_WORLD_SIZE") == "1"
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT") if on_one_host else "any"
        store = dist.PrefixStore(f"attempt {attempt}", store)
        backend = "nccl" if name.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    return Process(rank, world_size, local_rank, name)


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """Return the named device, or the best one for "auto".

    Raises:
        ValueError: this machine does not have the device.
    """
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
