"""Watch the worker processes of a loader. If one ends, the main process gets a one-line error at its next batch."""

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
    signal.SIGKILL: ", as systems do when memory runs out; use fewer --workers or a smaller --batch_size",
    signal.SIGBUS: ": its shared memory is full; use fewer --workers or a larger /dev/shm",
}


def watched(loader: DataLoader, workers: list[BaseProcess] | None = None) -> Iterator[Any]:
    """Yield the batches of a loader.

    Args:
        workers: a list to which the loader's processes are added when they start.
    Raises:
        OSError: a worker ended. The message names the signal.
    """
    workers = [] if workers is None else workers
    with _reporting_ends(workers):
        batches = _start(loader, workers)
    while True:
        with _reporting_ends(workers):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _start(loader: DataLoader, workers: list[BaseProcess]) -> Iterator[Any]:
    """Return an iterator over the loader, and add its new processes to the workers."""
    before = multiprocessing.active_children()
    try:
        return iter(loader)
    finally:
        workers += [child for child in multiprocessing.active_children() if child not in before]
        if threading.current_thread() is threading.main_thread():
            # When a worker ends, PyTorch's own handler raises at any line of this process, even while it writes a file.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@contextlib.contextmanager
def _reporting_ends(workers: list[BaseProcess]) -> Iterator[None]:
    """Raise OSError if the block fails because a worker has ended."""
    try:
        yield
    except Exception as error:
        # PyTorch raises a RuntimeError, or a transfer breaks off, shortly before the process is gone.
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
