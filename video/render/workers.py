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
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from utils import keep_freed_memory

from ..frame import Frame
from ..schedule.timeline import Span
from .network import Network
from .pipeline import Between, Maker, Way

PAIRS, FRAMES = 4, 8  # most pairs of a run, and most frames to make; a single pair may need more frames
AHEAD = 2  # most runs per worker that wait
PATIENCE = 5  # seconds until a process that does not end is killed
READY = "ready"  # the first message of a worker


class LostWorkerError(OSError):
    """The error if a worker has ended before its work was done."""


class Run:
    """Consecutive spans for one worker, and the frames that it made for them.

    spans: the spans.
    made: frames of each span; None until the worker has answered.
    """

    def __init__(self, spans: list[Span]):
        self.spans = spans
        self.made: list[list[Between]] | None = None
        if not any(span.wanted for span in spans):
            self.made = [[] for _ in spans]

    def orders(self) -> list[Span]:
        """Return the spans in which frames are wanted, without the parts that only the first process needs."""
        bare: dict[int, Frame] = {}  # a frame that belongs to two pairs is sent once

        def strip(frame: Frame) -> Frame:
            return bare.setdefault(id(frame), frame._replace(native=None))

        wanted = [span for span in self.spans if span.wanted]
        return [span._replace(frame0=strip(span.frame0), frame1=strip(span.frame1), slots=[]) for span in wanted]

    def take(self, answer: list[list[Between]]) -> None:
        """Take the frames that a worker made."""
        found = iter(answer)
        self.made = [next(found) if span.wanted else [] for span in self.spans]


class Workers:
    """Processes that run a model. They start when they are first needed, and serve any number of conversions.

    At the end of a `with` block, they end. An error ends them, too; the next conversion starts them again.
    """

    def __init__(self, model: Any, count: int | None = None, *, threads: int | None = None):
        """Set up workers. No process starts yet.

        Args:
            model: the network. It must be picklable if there is more than one process.
            count: number of processes; 1 stands for the first one alone. Default: each conversion decides, see
                `choose_workers`.
            threads: threads of each process. Default: 1.
        Raises:
            ValueError: `count` or `threads` is below 1.
        """
        for name, value in (("workers", count), ("threads", threads)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.count, self._threads = count, threads or 1
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

    def _make(self, spans: Iterable[Span], network: Network) -> Generator[tuple[Span, Iterator[Between]], None, None]:
        """Yield each span with its frames, in order, which the processes make.

        Raises:
            LostWorkerError: a process has ended. Errors of the network are raised as they are.
        """
        runs = gather(spans)
        waiting: deque[Run] = deque()
        try:
            while self._fill(waiting, runs, network.settings) or waiting:
                while waiting and waiting[0].made is not None:
                    run = waiting.popleft()
                    yield from zip(run.spans, map(iter, run.made), strict=True)
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


def gather(spans: Iterable[Span]) -> Iterator[Run]:
    """Put up to `PAIRS` consecutive spans with up to `FRAMES` frames into a run. A single span may have more."""
    together: list[Span] = []
    for span in spans:
        wanted = sum(len(other.wanted) for other in (*together, span))
        if together and (len(together) == PAIRS or wanted > FRAMES):
            yield Run(together)
            together = []
        together.append(span)
    if together:
        yield Run(together)


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
    consecutive spans. The answer to a run is the frames of each span, or the error that ended it.
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


def _answer(model: object, settings: dict, spans: Sequence[Span]) -> list[list[Between]] | Exception:
    try:
        maker = Maker(Network(model, **settings))
        return [list(maker.make(span)) for span in spans]
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
