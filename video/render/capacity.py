"""How many worker processes a conversion pays for: cores, memory and the amount of work decide."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import torch

# Peak memory of a process that made 640x272 to 1280x720 frames with the networks `small` and `base`, rounded up.
PROCESS, PER_PIXEL = 500 * 2**20, 1000  # bytes: PyTorch and the weights; what a pixel of a frame takes
SHARE = Fraction(3, 4)  # of the memory that is available
# A worker takes about as long to start as the network takes for so many pixels: about 3 s. It has to make more.
LEAST = 8_000_000  # pixels of frames between, per worker
UNKNOWN = 60  # seconds that a video is taken to last if it does not say


@contextlib.contextmanager
def steady_threads(device: torch.device | str, threads: int | None) -> Iterator[None]:
    """Meanwhile, let PyTorch compute with `threads` threads on a CPU; default: 1.

    Sums of another number of threads differ in their last bits, and so would the frames on another machine, or with
    other processes beside. Raises ValueError for fewer than one.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if torch.device(device).type != "cpu" and threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_workers(frames: int | None, size: tuple[int, int], *, tile: int | None = None, rate: Fraction) -> int:
    """Return how many processes are worth their start on this machine's CPU; 1: none beside the first.

    Args:
        frames: to be made, None where that is not known. size: (H, W). tile: side of the squares that are computed at
            a time. rate: frames per second of the output.
    """
    pixels = size[0] * size[1]
    count = round(UNKNOWN * rate) if frames is None else frames
    at_once = min(pixels, tile * tile) if tile else pixels
    bounds = [count_cores(), count * pixels // LEAST]
    if (memory := available_memory()) is not None:
        bounds.append(int(memory * SHARE) // (PROCESS + PER_PIXEL * at_once))
    return max(1, min(bounds))


def count_cores() -> int:
    """Return how many processor cores this process may use, also in a container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = (_read("/sys/fs/cgroup/cpu.max") or "max").partition(" ")
    return max(1, min(cores, int(quota) // int(period))) if quota.isdecimal() and period.isdecimal() else cores


def available_memory() -> int | None:
    """Return the bytes that processes may still take without swapping, also in a container; None if unknown."""
    found = []
    for line in (_read("/proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            found.append(int(value.split()[0]) * 1024)
    limit, used, parts = (_read(f"/sys/fs/cgroup/memory.{name}") or "" for name in ("max", "current", "stat"))
    if limit.isdecimal() and used.isdecimal():
        cached = next((int(line.split()[1]) for line in parts.splitlines() if line.startswith("file ")), 0)
        found.append(int(limit) - int(used) + cached)
    return max(0, min(found)) if found else None


def _read(path: str) -> str | None:
    """Return the text of a small file of the system; None where there is no such file."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
