"""Choose how many threads and worker processes a conversion uses, and decode and encode while the network runs.

Decoding and encoding have threads of their own. Their queues are short, and their errors are raised in the calling
thread.
"""

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
SIZE = 3  # most items in a queue
PAUSE = 0.1  # seconds between checks that the other thread still runs
END = object()
# Peak memory of a process that made 640x272 to 1280x720 frames with the networks `small` and `base`, rounded up.
PROCESS, PER_PIXEL = 500 * 2**20, 1000  # bytes for PyTorch and the weights, and bytes per pixel of a frame
SHARE = Fraction(3, 4)  # part of the available memory that workers may use
LEAST = 8_000_000  # pixels that the network makes in about 3 s, which a worker takes to start; fewer do not pay off
UNKNOWN = 60  # assumed seconds of a video that does not give its duration


def ahead(items: Iterable[T], size: int = SIZE, *, let_go: Callable[[], None] = lambda: None) -> Iterator[T]:
    """Yield the same items, but make them in a thread, up to `size` ahead. Errors of the thread are raised here.

    Args:
        items: the items.
        size: most items in the queue.
        let_go: wakes the thread if it waits for another program. It is called when no more items are needed.
    """
    waiting: queue.Queue = queue.Queue(size)
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for item in items:
                if not _put(waiting, item, lambda: not stop.is_set()):
                    break
        except BaseException as error:
            errors.append(error)
        finally:
            if hasattr(items, "close"):
                items.close()
            _put(waiting, END, lambda: not stop.is_set())

    thread = threading.Thread(target=work, name="decode", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not END:
            yield item
        if errors:
            raise errors[0]
    finally:
        stop.set()
        let_go()
        thread.join()


class Behind(Generic[T]):
    """A queue whose items are handed to `consume` in a thread.

    At the end of a `with` block, it waits for the last item. Errors of `consume` are raised by the next `put`, or at
    the end of the block. If the block fails, `let_go` wakes a `consume` that waits for another program.
    """

    def __init__(self, consume: Callable[[T], None], size: int = SIZE, *, let_go: Callable[[], None] = lambda: None):
        self._consume, self._let_go = consume, let_go
        self._waiting: queue.Queue = queue.Queue(size)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="encode", daemon=True)

    def put(self, item: T) -> None:
        """Wait for room, and queue the item. Raises the error of `consume`."""
        if not _put(self._waiting, item, self._thread.is_alive):
            raise self._error

    def __enter__(self) -> "Behind[T]":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._let_go()
        _put(self._waiting, END, self._thread.is_alive)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (item := self._waiting.get()) is not END:
                self._consume(item)
        except BaseException as error:
            self._error = error


def _put(waiting: queue.Queue, item: object, is_wanted: Callable[[], bool]) -> bool:
    """Queue the item as soon as there is room. Return False if it is no longer wanted."""
    while is_wanted():
        try:
            waiting.put(item, timeout=PAUSE)
            return True
        except queue.Full:
            continue
    return False


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


def choose_workers(frames: int | None, size: tuple[int, int], *, tile: int | None = None, rate: Fraction) -> int:
    """Return the number of processes that pay off on this machine's CPU; 1 stands for the first one alone.

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
    """Return the number of processor cores that this process may use, also in a container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = (_read("/sys/fs/cgroup/cpu.max") or "max").partition(" ")
    return max(1, min(cores, int(quota) // int(period))) if quota.isdecimal() and period.isdecimal() else cores


def available_memory() -> int | None:
    """Return the bytes that processes may still take without swapping, also in a container; None if unknown."""
    lines = (_read("/proc/meminfo") or "").splitlines()
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
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
