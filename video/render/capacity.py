"""Choose how many worker processes a conversion uses, by cores, memory and amount of work."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import torch

# Peak memory of a process that made 640x272 to 1280x720 frames with the networks `small` and `base`, rounded up.
PROCESS, PER_PIXEL = 500 * 2**20, 1000  # bytes for PyTorch and the weights, and bytes per pixel of a frame
SHARE = Fraction(3, 4)  # part of the available memory that workers may use
LEAST = 8_000_000  # pixels that the network makes in about 3 s, which a worker takes to start; fewer do not pay off
UNKNOWN = 60  # assumed seconds of a video that does not give its duration


@contextlib.contextmanager
def steady_threads(device: torch.device | str, threads: int | None) -> Iterator[None]:
    """Let PyTorch use `threads` threads on a CPU inside the block. Default: 1.

    The last bits of sums depend on the number of threads. With a fixed number, frames do not depend on the machine or
    on other processes.

    Raises:
        ValueError: there are fewer than one.
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


def choose_workers(
    frames: int | None, size: tuple[int, int], *, tile: int | None = None, rate: Fraction, calls: int = 1
) -> int:
    """Return the number of processes that pay off on this machine's CPU; 1 stands for the first one alone.

    Args:
        frames: number of frames to make; None if unknown.
        size: (H, W).
        tile: side of the squares that are computed one at a time.
        rate: frames per second of the output.
        calls: calls of the network per frame, 2 with an ensemble.
    """
    pixels = size[0] * size[1]
    count = round(UNKNOWN * rate) if frames is None else frames
    at_once = min(pixels, tile * tile) if tile else pixels
    bounds = [count_cores(), count * calls * pixels // LEAST]
    if (memory := available_memory()) is not None:
        bounds.append(int(memory * SHARE) // (PROCESS + PER_PIXEL * at_once))
    return max(1, min(bounds))


def count_cores() -> int:
    """Return the number of processor cores that this process may use, also in a container."""
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
