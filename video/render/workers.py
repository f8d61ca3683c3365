"""Run the network in several processes on one machine.

The first process decodes, plans and encodes. It sends runs, which are consecutive pairs of frames, to the workers, and
takes the made frames in their order. The bytes are the same as without workers, because each worker computes with as
many threads as one process alone. `Workers` is the side of the first process; `work` is the side of a worker.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from fractions import Fraction
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

import torch

from utils import keep_freed_memory

from ..frame import Frame
from .network import Network
from .pipeline import Between, Maker, Step, Way

PAIRS, FRAMES = 4, 8  # most pairs of a run, and most frames to make; a single pair may need more frames
AHEAD = 2  # most runs per worker that wait
PATIENCE = 5  # seconds until a process that does not end is killed
READY = "ready"  # the first message of a worker


class LostWorkerError(OSError):
    """The error if a worker has ended before its work was done."""


class Order(NamedTuple):
    """One pair of frames to interpolate.

    frame0: the frame before.
    frame1: the frame after.
    wanted: places between them, 0 to 1, see `Maker.make`.
    """

    frame0: Frame
    frame1: Frame
    wanted: list[Fraction]


class Run:
    """Consecutive steps for one worker, and the frames that it made for them.

    steps: the steps.
    made: frames of each step; None until the worker has answered.
    """

    def __init__(self, steps: list[Step]):
        self.steps = steps
        self.made: list[list[Between]] | None = None
        if not any(step.wanted for step in steps):
            self.made = [[] for _ in steps]

    def orders(self) -> list[Order]:
        """Return the orders for the worker, without the parts of frames that only the first process needs."""
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
        """Set up workers. No process starts yet.

        Args:
            model: the network. It must be picklable if there is more than one process.
            count: number of processes; 1 stands for the first one alone. Default: each conversion decides, see
                `choose_workers`.
            threads: threads of each process.
        Raises:
            ValueError: `count` or `threads` is below 1.
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
        """Start processes until there are `count`. Return the function for `render` that uses them all.

        Raises:
            ValueError: this process must not start others, or the model cannot be sent to them.
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
        """Yield each step with its frames, in order, which the processes make.

        Raises:
            LostWorkerError: a process has ended. Errors of the network are raised as they are.
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
        """Wait for an answer, and take all answers that have arrived."""
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
    """Put up to `PAIRS` consecutive steps with up to `FRAMES` frames into a run. A single step may have more."""
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
    """Keep Ctrl-C from processes that are started inside the block. This process gets it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # starting it would let Ctrl-C in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(connection: Connection, threads: int) -> None:
    """Make the frames that the connection asks for, until it is closed. It is the main function of a worker.

    The first message is the model, as bytes of `pickle`. Each later message is a run: settings of `Network`, and
    consecutive orders. The answer to a run is the frames of each order, or the error that ended it.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the workers after Ctrl-C
    torch.set_num_threads(threads)
    keep_freed_memory()
    try:
        connection.send(READY)
        model = pickle.loads(connection.recv_bytes())
        while True:
            connection.send(_answer(model, *connection.recv()))
    except (EOFError, ConnectionError):  # the first process has closed the connection
        return


def _answer(model: object, settings: dict, orders: Sequence[Order]) -> list[list[Between]] | Exception:
    try:
        maker = Maker(Network(model, **settings))
        return [list(maker.make(*order)) for order in orders]
    except Exception as error:  # it is raised in the first process
        return _portable(error)


def _portable(error: Exception) -> Exception:
    """Return the error, or one with the same message if it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the class of the error is
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    """End this process at once when the process that started it has ended for any reason."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
