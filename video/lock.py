"""One process at a time makes an output: a lock that ends with its holder, whatever ends that."""

import logging
import os
import platform
import time
from pathlib import Path
from typing import TextIO

logger = logging.getLogger("waveletvfi")


class Lock:
    """The file `path`, there while it is held. It says who holds it; one that a killed process left is free."""

    def __init__(self, path: Path):
        self._path = path
        self._file: TextIO | None = None

    def take(self, output: Path) -> None:
        """Take the lock; `output` is named where that fails.

        Raises:
            OSError: another process holds it, which is named; the file cannot be made.
        """
        if os.name != "posix":  # elsewhere files that are open cannot be removed, and locks not be read
            return
        while self._file is None:
            file = self._path.open("a+")
            try:
                _lock(file)
            except BlockingIOError:
                with file:
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                raise OSError(f"{output} is being made by {holder}; wait for it, or give another --output") from None
            except OSError as error:
                logger.warning("%s: this file system has no locks (%s); start no second run", output, error.strerror)
            if _is_at(file, self._path):
                self._file = file
            else:  # its holder removed it meanwhile
                file.close()
        self._file.truncate(0)
        self._file.write(
            f"process {os.getpid()} on {platform.node()}, begun at {time.strftime('%H:%M:%S on %Y-%m-%d')}"
        )
        self._file.flush()

    def release(self) -> None:
        """Remove the file, if this is the holder."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def _lock(file: TextIO) -> None:
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
