"""The processes of a loader: one that ends is told in one line, and when the main process asks for a batch."""

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from torch.utils.data import DataLoader

MOMENT = 2.0  # seconds
ADVICE = {
    signal.SIGKILL: ", as systems do where memory runs out: fewer --workers or a smaller --batch_size need less",
    signal.SIGBUS: ": its shared memory is full; fewer --workers need less, a larger /dev/shm holds more",
}


def watched(loader: DataLoader, workers: list[BaseProcess] | None = None) -> Iterator[Any]:
    """The batches of a loader.

    Args:
        workers: takes the loader's processes as they are started.
    Raises:
        OSError: a worker ended; says by which signal.
    """
    workers = [] if workers is None else workers
    with _telling_ends(workers):
        batches = _start(loader, workers)
    while True:
        with _telling_ends(workers):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _start(loader: DataLoader, workers: list[BaseProcess]) -> Iterator[Any]:
    """An iterator over the loader, its new processes noted among the workers."""
    before = multiprocessing.active_children()
    try:
        return iter(loader)
    finally:
        workers += [child for child in multiprocessing.active_children() if child not in before]
        if threading.current_thread() is threading.main_thread():
            # PyTorch's own handler raises wherever this process is when a worker ends, in the middle of a file as well.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@contextlib.contextmanager
def _telling_ends(workers: list[BaseProcess]) -> Iterator[None]:
    """Raise OSError where the block fails for a worker's end."""
    try:
        yield
    except Exception as error:
        # It is told by a RuntimeError, or breaks off what was just being sent, a moment before the process is gone.
        if workers:
            wait([worker.sentinel for worker in workers], timeout=MOMENT)
        ended = [worker for worker in workers if worker.exitcode]
        if not ended:
            raise
        raise OSError("; ".join(map(_describe_end, ended))) from error


def _describe_end(worker: BaseProcess) -> str:
    code, reason = worker.exitcode or 0, f"exited with status {worker.exitcode}"
    if code < 0:
        number = signal.Signals(-code) if -code in {*map(int, signal.Signals)} else None
        reason = f"was ended by {number.name if number else f'signal {-code}'}{ADVICE.get(number, '')}"
    return f"data loading process {worker.pid} {reason}"
