"""Choose how many worker processes a conversion uses, by cores, memory and amount of work."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import torch

# Peak memory of a process that made 640x272 to 1280x720 frames with the networks `small` and `base`, rounded up.
PROCESS, PER_PIXEL = 500 * 2**20, 1000  # bytes: of PyTorch and the weights; of each pixel of a frame
SHARE = Fraction(3, 4)  # of the memory that is available
# A worker starts in about 3 s, in which the network makes so many pixels. A worker has to make more to pay off.
LEAST = 8_000_000  # pixels of frames between, per worker
UNKNOWN = 60  # seconds that a video is assumed to last if it does not say


@contextlib.contextmanager
def steady_threads(device: torch.device | str, threads: int | None) -> Iterator[None]:
    """Let PyTorch compute with `threads` threads on a CPU meanwhile; default: 1.

    Sums of another number of threads differ in their last bits. So would the frames on another machine, or beside other
    processes. Raises ValueError for fewer than one.
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
    """Return how many processes are worth starting on this machine's CPU; 1: none besides the first.

    Args:
        frames: number of frames to make; None if unknown.
        size: (H, W).
        tile: side of the squares that are computed one at a time.
        rate: frames per second of the output.
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
    """Return the text of a small file of the system; None if there is no such file."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
