"""Read a video from standard input, and write bytes to standard output (`-` on the command line).

A pipe is read once, from its beginning, without keeping all of it in memory.
"""

import contextlib
import copy
import itertools
import os
import select
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from utils import STRANGE_HEAD, describe_strange_head

from .damage import PIPED, Damage, missing_in_pipe
from .decode import Decoded, Pictures
from .deinterlace import deinterlace
from .reader import BROWSERS, VideoReader

PIPE = Path("-")
INPUT, OUTPUT = "standard input", "standard output"  # names in messages
PAUSE = 100  # milliseconds between checks that the pipe has not been closed on this side
TAIL = 2**16  # bytes from each end that are remembered
AT_ONCE = 2**20  # bytes that the demuxer asks for
INDEXED = b"ftyp"  # containers of this family, mp4 and mov, may have their index at the end


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
        ValueError: standard output is a terminal, or is closed.
    """
    if os.isatty(descriptor):
        raise ValueError(f"{OUTPUT} is a terminal; pipe it into a program, or give a file's name as --output")
    if sys.stdout is None:
        raise ValueError(f"{OUTPUT} is closed; pipe it into a program, or give a file's name as --output")
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


class PipeReader(VideoReader):
    """A `VideoReader` for a pipe. It has the same attributes. `frames` can be called once, and reads everything."""

    has_places = False

    def __init__(self, pipe: PipeIn, *, is_interlaced: bool = False, by_field: bool = False, keeps_alpha: bool = False):
        """Read up to the first picture. The options are those of `VideoReader`.

        Raises:
            ValueError: the input is not a video, or cannot be read without going back.
        """
        self.path = Path(INPUT)
        self.paths: list[Path] = []
        self._first_time = None
        self._is_deinterlaced, self._keeps_alpha = is_interlaced or by_field, keeps_alpha
        self._pipe, self._damage = pipe, Damage()
        with self._naming():
            self._container = av.open(pipe, buffer_size=AT_ONCE, metadata_errors="replace", container_options=BROWSERS)
        self._video, decoder = self._find(self._container)
        self._learn_times(self._container, self._video, by_field=by_field)
        self._all = Pictures(
            self._container, self._video, self.coded_rate, self._damage, self.path, decoder, is_pipe=True
        )
        pictures, first = iter(self._all), None
        with self._naming():
            first = next(pictures, None)
        if first is None:
            raise ValueError(f"{self.path} is truncated or corrupt: no frame can be decoded{self._advice()}")
        self._learn_picture(self._container, self._video, first.picture)
        self._pictures = itertools.chain([first], pictures)

    def keep_rest(self, folder: Path) -> VideoReader | None:
        """Keep the other streams in `folder`, for as long as the frames are read.

        Returns:
            A reader from which sound, subtitles and metadata can be copied afterwards; None if there can be none.
        """
        if PIPED in self._kinds:
            self._pipe.keep(None)
            return None
        kept = copy.copy(self)
        kept.path = folder / INPUT
        self._pipe.keep(kept.path)
        return kept

    def frames(self, *, start: Fraction | None = None) -> Iterator:
        """Read all frames in order. Raises the errors of `VideoReader.frames`, and ValueError for a `start`."""
        if start is not None:
            raise ValueError(f"{self.path} is read from its beginning, not from {start} s on")
        self._pipe.keep(None)
        return super().frames()

    def close(self) -> None:
        """Stop reading. A thread that waits for the next bytes gets none."""
        self._pipe.close()

    def _describe_stranger(self) -> str:
        return describe_strange_head(self._pipe.head[:STRANGE_HEAD])

    def _advice(self) -> str:
        is_indexed = self._pipe.head[4:8] == INDEXED
        return "; the index of an mp4 may be at its end: give the file's name, or pipe Matroska" if is_indexed else ""

    def _decode(self, start: Fraction | None, damage: Damage) -> Iterator[Decoded]:
        try:
            with self._container:
                pictures = self._pictures
                yield from deinterlace(pictures, period=self._period) if self._is_deinterlaced else pictures
                self._end_of(self._all, self._container, self._video, damage, is_all=True)
        finally:
            self._pipe.flush()  # also if the rest is not read

    def _missing(self, pictures: Pictures) -> str:
        pipe = self._pipe
        return missing_in_pipe(self._kinds, head=pipe.head, tail=pipe.tail, count=pipe.count, reached=pictures.reached)


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
