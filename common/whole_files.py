"""Files: names sorted as people do, files that appear only when complete, and descriptions of wrong files."""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

TEXT = frozenset(b"\t\r\n") | frozenset(range(32, 127))  # bytes
STRANGE_HEAD = 256  # bytes
LONG_NAME = 80  # bytes; file systems allow 255, some only 143


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
