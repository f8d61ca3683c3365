"""Open media files, and read and write standard input and output (`-` on the command line)."""

import contextlib
import os
import re
import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer, OutputContainer

HANDED_ON = "tee"  # the format of an `open_handed_on`

PIPE = Path("-")
INPUT, OUTPUT = "standard input", "standard output"  # names in messages
PAUSE = 100  # milliseconds between checks that the pipe has not been closed on this side
TAIL = 2**16  # bytes from each end that are remembered


def open_media(path: str | os.PathLike, mode: str = "r", **options: Any) -> InputContainer | OutputContainer:
    """Open a file with `av.open`. A colon in its name starts no protocol; odd bytes in its metadata raise no error."""
    return av.open(str(Path(path).absolute()), mode, metadata_errors="replace", **options)


def open_handed_on(path: str | os.PathLike, kind: str, options: dict[str, str] | None = None) -> OutputContainer:
    """Open an output of FFmpeg's format `kind` that takes all streams that its muxer takes. Chapters are left out.

    `av.open` checks a list of codecs first, and some are missing from it. FFmpeg's muxer "tee" has no such list. It
    hands everything except chapters on to another muxer.
    """
    settings = ":".join(f"{key}={value}" for key, value in {"f": kind, **(options or {})}.items())
    place = re.sub(r"([\\'|\s])", r"\\\1", str(Path(path).absolute()))
    return av.open(f"[{settings}]{place}", "w", format=HANDED_ON, metadata_errors="replace")


class ClosedPipeError(BrokenPipeError):
    """The error if the program that reads our output has ended or closed it."""


def is_pipe(path: str | os.PathLike) -> bool:
    """Return True for "-", the name of standard input or output."""
    return Path(path) == PIPE


class PipeIn:
    """The bytes of a descriptor, as a file for a demuxer. They can be read once, forward.

    Attributes:
        name: name for messages.
        count: number of bytes read so far.
        head: first bytes, up to `TAIL`.
        tail: last bytes so far, up to `TAIL`.
    """

    name = INPUT

    def __init__(self, descriptor: int = 0):
        """Start to read a descriptor. Raises ValueError if it is a terminal, into which no program writes."""
        if os.isatty(descriptor):
            raise ValueError(f"{INPUT} is a terminal; pipe a video into it, or give a file's name")
        self._descriptor, self._is_closed = descriptor, threading.Event()
        self._held: bytearray | None = bytearray()
        self._copy: BinaryIO | None = None
        self.count, self.head, self.tail = 0, b"", b""

    def read(self, size: int) -> bytes:
        """Wait for the next bytes, and return at most `size`; return no bytes at the end or after `close`."""
        if not _wait(self._descriptor, select.POLLIN if hasattr(select, "poll") else 0, self._is_closed):
            return b""
        data = os.read(self._descriptor, size)
        self.count += len(data)
        self.head += data[: max(TAIL - len(self.head), 0)]
        self.tail = (self.tail + data)[-TAIL:]
        if self._held is not None:
            self._held += data
        elif self._copy is not None:
            self._copy.write(data)
        return data

    def keep(self, path: Path | None) -> None:
        """Copy all bytes into a file, including those already read. None: keep no copy.

        All bytes are held in memory until the first call. Later calls change nothing.
        """
        if path is not None and self._held is not None:
            self._copy = path.open("wb")
            self._copy.write(self._held)
        self._held = None

    def flush(self) -> None:
        """Complete the copy."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def close(self) -> None:
        """Make a `read` that waits return, and all later ones return at once."""
        self._is_closed.set()


class PipeOut:
    """A descriptor to write into. Writing waits for a slow reader."""

    def __init__(self, descriptor: int):
        self._descriptor, self._is_closed = descriptor, threading.Event()

    def write(self, data: bytes | memoryview) -> None:
        """Write all bytes. Raises ClosedPipeError if nobody reads them."""
        rest = memoryview(data).cast("B")
        while rest and _wait(self._descriptor, select.POLLOUT if hasattr(select, "poll") else 0, self._is_closed):
            try:
                rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
            except BrokenPipeError as error:
                raise ClosedPipeError(error.errno, f"{OUTPUT} was closed by the program that reads it") from error

    def close(self) -> None:
        """Make a `write` that waits return."""
        self._is_closed.set()


@contextlib.contextmanager
def claimed_output(descriptor: int = 1) -> Iterator[PipeOut]:
    """Yield standard output for one use. Inside the block, all other output goes to standard error.

    Raises:
        ValueError: standard output is a terminal.
    """
    if os.isatty(descriptor):
        raise ValueError(f"{OUTPUT} is a terminal; pipe it into a program, or give a file's name as --output")
    sys.stdout.flush()
    own = os.dup(descriptor)
    os.dup2(2, descriptor)
    pipe = PipeOut(own)
    try:
        yield pipe
    finally:
        pipe.close()
        sys.stdout.flush()
        os.dup2(own, descriptor)
        os.close(own)


def _wait(descriptor: int, event: int, is_closed: threading.Event) -> bool:
    """Wait until the descriptor is ready or at its end. Return False if it is closed on this side."""
    if not event:  # Windows cannot wait for a pipe in pieces
        return not is_closed.is_set()
    poll = select.poll()
    poll.register(descriptor, event)
    while not is_closed.is_set():
        if poll.poll(PAUSE):
            return True
    return False
