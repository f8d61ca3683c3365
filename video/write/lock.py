"""Let only one process at a time make an output, by a lock that ends with its process in any case.

Unix locks the whole file (`fcntl`). Windows locks one byte of it (`msvcrt`), far behind its text, because other
processes cannot read a locked place.
"""

import contextlib
import errno
import importlib
import logging
import os
import platform
import time
from pathlib import Path
from types import ModuleType
from typing import TextIO

logger = logging.getLogger("waveletvfi")


BYTE = 2**30  # place of the byte that Windows locks
PATIENCE, PAUSE = 2, 0.02  # seconds


def _find(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


FCNTL, MSVCRT = _find("fcntl"), _find("msvcrt")  # one of them exists, depending on the system


class Lock:
    """A lock: a file that exists while the lock is held, and names its holder. A killed process holds no lock."""

    def __init__(self, path: Path):
        self._path = path
        self._file: TextIO | None = None

    def take(self, output: Path) -> None:
        """Take the lock.

        Args:
            output: the output, for error messages.
        Raises:
            OSError: another process holds the lock, which the message names; or the file cannot be created.
        """
        while self._file is None:
            file = self._path.open("a+")
            try:
                _lock(file)
            except BlockingIOError:
                with file:
                    holder = _read(file) or "another process"
                raise OSError(f"{output} is being made by {holder}; wait for it, or give another --output") from None
            except OSError as error:
                logger.warning("%s: this file system has no locks (%s); start no second run", output, error.strerror)
            if _is_at(file, self._path):
                self._file = file
            else:  # its holder has removed it
                file.close()
        self._file.truncate(0)
        self._file.write(
            f"process {os.getpid()} on {platform.node()}, begun at {time.strftime('%H:%M:%S on %Y-%m-%d')}"
        )
        self._file.flush()

    def release(self) -> None:
        """Remove the file, if this process holds it."""
        if self._file is None:
            return
        if FCNTL is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
        else:  # Windows does not remove a file that this or another process has open
            with contextlib.suppress(OSError):  # the file system may have no locks
                _lock_byte(self._file, is_held=False)
            self._file.close()
            with contextlib.suppress(PermissionError):
                self._path.unlink(missing_ok=True)
        self._file = None


def _lock(file: TextIO) -> None:
    """Lock a file. Raises BlockingIOError if another process has locked it."""
    if FCNTL is not None:
        FCNTL.flock(file, FCNTL.LOCK_EX | FCNTL.LOCK_NB)
    else:
        _lock_byte(file, is_held=True)


def _lock_byte(file: TextIO, *, is_held: bool) -> None:
    if MSVCRT is None:
        raise OSError(errno.ENOLCK, "neither fcntl nor msvcrt is there")
    os.lseek(file.fileno(), BYTE, os.SEEK_SET)
    try:
        MSVCRT.locking(file.fileno(), MSVCRT.LK_NBLCK if is_held else MSVCRT.LK_UNLCK, 1)
    except PermissionError as error:  # Windows raises this if another process holds it
        if is_held:
            raise BlockingIOError(errno.EAGAIN, error.strerror) from error
    finally:
        os.lseek(file.fileno(), 0, os.SEEK_SET)


def _read(file: TextIO) -> str:
    """Return the text of a file that another process holds. Wait, as it is written just after the file is locked."""
    until = time.monotonic() + PATIENCE
    while True:
        file.seek(0)
        text = file.read().strip()
        if text or time.monotonic() > until:
            return text
        time.sleep(PAUSE)


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
