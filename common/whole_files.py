"""Files: sorted names, files that appear only when complete, locks, and descriptions of wrong files.

A lock ends with its process in any case. Unix locks the whole file (`fcntl`). Windows locks one byte of it (`msvcrt`),
far behind its text, because other processes cannot read a locked place.
"""

import contextlib
import errno
import hashlib
import importlib
import logging
import os
import platform
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TextIO

logger = logging.getLogger("waveletvfi")

TEXT = frozenset(b"\t\r\n") | frozenset(range(32, 127))  # bytes
STRANGE_HEAD = 256  # bytes
LONG_NAME = 80  # bytes; file systems allow 255, some only 143
BYTE = 2**30  # place of the byte that Windows locks
PATIENCE, PAUSE = 2, 0.02  # seconds: longest wait for the name of a lock's holder, time between two looks


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Return the paths sorted by name, with 2 before 10 and -2 before -1."""
    return sorted(paths, key=lambda path: (split_numbers(path.name), path.name))


def split_numbers(name: str) -> list[str | int]:
    """Split a name into lower-case text and numbers, alternately and text first, so that names can be compared.

    A hyphen is a minus sign at the beginning and after "_", "(" and "=". Elsewhere it is text, as in "frame-2" and
    dates.
    """
    parts = re.split(r"((?:(?:^|(?<=[_(=]))-)?\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def short_name(name: str) -> str:
    """Shorten a long name to its beginning and a hash, so that the file system also allows a suffix."""
    content = os.fsencode(name)
    if len(content) <= LONG_NAME:
        return name
    return f"{content[: LONG_NAME // 2].decode(errors='ignore')}-{hashlib.sha256(content).hexdigest()[:12]}"


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with the same suffix.

    If the block succeeds, the file takes the name `path`; else it is removed. The folder is made if needed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{short_name(path.stem)}.", suffix=f".part{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's 0600 is for secrets, this is a result
        temporary.replace(path)
    except OSError as error:
        if error.errno and not error.filename:  # a full disk is reported without a name
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_failed_write(path: str | os.PathLike) -> Iterator[None]:
    """Turn a failed write into an OSError that names the path.

    The system reports a full disk without a name, and PyTorch reports it as a RuntimeError.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        first: BaseException = error
        while not isinstance(first, OSError) and first.__context__:
            first = first.__context__
        raise OSError(f"cannot write {path}: {getattr(first, 'strerror', None) or error}") from error


def describe_stranger(path: Path) -> str:
    """Describe a file that is not what its name says, such as a web page or a pointer of Git LFS.

    Returns:
        The description, or an empty string if the content is unknown.
    """
    with path.open("rb") as file:
        return describe_strange_head(file.read(STRANGE_HEAD))


def describe_strange_head(head: bytes) -> str:
    """Describe a file, as `describe_stranger` does, by its first `STRANGE_HEAD` bytes."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS to the file itself, which `git lfs pull` fetches"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page; download the file itself (on GitHub and Hugging Face, the link that says raw or download)"
    if all(byte in TEXT for byte in head):
        line = " ".join(head.decode(errors="replace").split())
        return f'text: "{line[:60]}{"..." if len(line) > 60 else ""}"'
    return ""


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
