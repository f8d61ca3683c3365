"""Run the network in several processes on one machine: runs of pairs go out, and frames come back in their order.

Only the network runs there. Decoding, the plan and encoding stay in the first process, so all else is as without
workers. The bytes are the same, too: each worker computes with as many threads as one process alone would.
"""

import contextlib
import multiprocessing
import pickle
import signal
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ..frame import Frame
from .network import Network
from .pipeline import Between, Step, Way
from .worker import READY, Order, work

PAIRS, FRAMES = 4, 8  # of a run, at most; a single pair may need more frames
AHEAD = 2  # runs per worker that may be waiting
PATIENCE = 5  # seconds until a process that does not end is killed


class LostWorkerError(OSError):
    """A worker has ended before its work was done."""


class Run:
    """Consecutive steps for one worker, and the frames that it made of them, None before."""

    def __init__(self, steps: list[Step]):
        self.steps = steps
        self.made: list[list[Between]] | None = None
        if not any(step.wanted for step in steps):
            self.made = [[] for _ in steps]

    def orders(self) -> list[Order]:
        """Return the orders for the worker. Frames lose the parts that only the first process needs."""
        bare: dict[int, Frame] = {}  # a frame that belongs to two pairs is sent once

        def strip(frame: Frame) -> Frame:
            return bare.setdefault(id(frame), frame._replace(native=None))

        return [Order(*map(strip, (s.span.frame0, s.span.frame1)), s.wanted) for s in self.steps if s.wanted]

    def take(self, answer: list[list[Between]]) -> None:
        """Take the frames that a worker made."""
        found = iter(answer)
        self.made = [next(found) if step.wanted else [] for step in self.steps]


class Workers:
    """Processes that run a model. They start when they are first needed, and serve any number of conversions.

    At the end of a `with` block, they end. An error ends them, too; the next conversion starts them again.
    """

    def __init__(self, model: Any, count: int | None = None, *, threads: int = 1):
        """Args:
            model: can be pickled, if more than one process is wanted.
            count: number of processes; 1: none besides the first. None: each conversion decides, see `choose_workers`.
            threads: threads of each process.
        Raises:
            ValueError: a count or threads below 1.
        """
        for name, value in (("workers", count), ("threads", threads)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.count, self._threads = count, threads
        self.model, self._pickled = model, b""
        self._processes: dict[Connection, BaseProcess] = {}
        self._idle: list[Connection] = []
        self._busy: dict[Connection, Run | None] = {}  # None: it is starting

    def start(self, count: int) -> Way:
        """Start processes until there are `count`, and return the way for `render` that uses them all.

        Raises:
            ValueError: in a process that must not start others, or if the model cannot be sent to them.
        """
        if multiprocessing.parent_process() is not None:
            raise ValueError(
                "a process that another one has started cannot start workers; in a script, convert() with workers "
                'belongs below `if __name__ == "__main__":`'
            )
        try:
            self._pickled = self._pickled or pickle.dumps(self.model)
        except Exception as error:  # a model may be of any class
            raise ValueError(f"this network cannot be handed to other processes ({error}); try one worker") from error
        context = multiprocessing.get_context("spawn")
        with _without_interrupts():
            for _ in range(count - len(self._processes)):
                ours, theirs = context.Pipe()
                # A daemon cannot start processes of its own, and ends with this one.
                process = context.Process(target=work, args=(theirs, self._threads), name="worker", daemon=True)
                self._processes[ours], self._busy[ours] = process, None
                process.start()
                theirs.close()
        return self._make

    def close(self) -> None:
        """End all processes, whatever they are doing."""
        for process in self._processes.values():
            if process.pid is not None:
                process.terminate()
        for connection, process in self._processes.items():
            if process.pid is not None:
                process.join(PATIENCE)
                process.kill()
                process.join()
            connection.close()
        self._processes, self._idle, self._busy = {}, [], {}

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self, planned: Iterable[Step], network: Network) -> Generator[tuple[Step, Iterator[Between]], None, None]:
        """Give each step with the frames that it wants, in order, made by the processes.

        Raises:
            LostWorkerError: one of them has ended. Errors of the network are raised as they are.
        """
        runs = gather(planned)
        waiting: deque[Run] = deque()
        try:
            while self._fill(waiting, runs, network.settings) or waiting:
                while waiting and waiting[0].made is not None:
                    run = waiting.popleft()
                    yield from zip(run.steps, map(iter, run.made), strict=True)
                    self._fill(waiting, runs, network.settings)
                if waiting:
                    self._listen()
        except BaseException:
            self.close()
            raise

    def _fill(self, waiting: deque[Run], runs: Iterator[Run], settings: dict[str, Any]) -> bool:
        """Hand out runs while a process is idle. Return False at the end of the runs."""
        while len(waiting) < AHEAD * len(self._processes) and (self._idle or not waiting):
            run = next(runs, None)
            if run is None:
                return False
            waiting.append(run)
            while run.made is None and not self._idle:
                self._listen()
            if run.made is None:
                connection = self._idle.pop()
                self._busy[connection] = run
                with self._naming(connection):
                    connection.send((settings, run.orders()))
        return True

    def _listen(self) -> None:
        """Wait for an answer, and take all that have come."""
        for connection in wait(list(self._busy)):
            with self._naming(connection):
                answer = connection.recv()
                if answer == READY:
                    connection.send_bytes(self._pickled)
            run = self._busy.pop(connection)
            if isinstance(answer, Exception):
                raise answer
            if run is not None:
                run.take(answer)
            self._idle.append(connection)

    @contextlib.contextmanager
    def _naming(self, connection: Connection) -> Iterator[None]:
        try:
            yield
        except (EOFError, ConnectionError) as error:
            process = self._processes[connection]
            process.join(PATIENCE)
            status = process.exitcode or 0
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            advice = "; there may be too little memory: try fewer --workers" if status == -9 else ""
            raise LostWorkerError(f"a worker process has ended ({how}){advice}") from error


def gather(planned: Iterable[Step]) -> Iterator[Run]:
    """Put up to `PAIRS` consecutive steps that want up to `FRAMES` frames into a run; one step may want more."""
    steps: list[Step] = []
    for step in planned:
        wanted = sum(len(other.wanted) for other in (*steps, step))
        if steps and (len(steps) == PAIRS or wanted > FRAMES):
            yield Run(steps)
            steps = []
        steps.append(step)
    if steps:
        yield Run(steps)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let processes that are started meanwhile get no Ctrl-C, not even while they import; this one gets it
    afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it would let Ctrl-C in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
