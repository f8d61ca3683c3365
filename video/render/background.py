"""Decode and encode in threads while the network runs. Queues are short; errors are raised in the calling thread."""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
SIZE = 3  # most items in a queue
PAUSE = 0.1  # seconds between checks that the other thread still runs
END = object()


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
    the end of the block.
    """

    def __init__(self, consume: Callable[[T], None], size: int = SIZE):
        self._consume = consume
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
def stopping_on_failure(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` if the block fails."""
    try:
        yield
    except BaseException:
        stop()
        raise
