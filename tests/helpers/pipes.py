"""Pipes as the standard input and output of this process."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def standard_input(content: bytes) -> Iterator[None]:
    """A pipe that brings `content`, as this process's standard input."""
    ours, theirs = os.pipe()
    before = os.dup(0)
    os.dup2(ours, 0)
    os.close(ours)

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError), open(theirs, "wb") as file:  # noqa: PTH123
            file.write(content)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)
        thread.join()


@contextlib.contextmanager
def standard_output() -> Iterator[list[bytes]]:
    """A pipe as this process's standard output; what came is in the list at the end."""
    theirs, ours = os.pipe()
    before, came = os.dup(1), []
    sys.stdout.flush()
    os.dup2(ours, 1)
    os.close(ours)

    def drain() -> None:
        with open(theirs, "rb") as file:  # noqa: PTH123
            came.append(file.read())

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield came
    finally:
        os.dup2(before, 1)
        os.close(before)
        thread.join()
