"""Conversions that end early, and what they leave behind, for the tests of what is resumed."""

import os
from pathlib import Path

from helpers.clips import Average, make_clip, square

COUNT = 14  # source frames, in segments of four


def make_source(folder: Path) -> Path:
    return make_clip(folder / "clip.mp4", [square(k % 12) for k in range(COUNT)], sound=[0.3])


class Interrupted(Average):
    """The average, until the `limit`th pair."""

    def __init__(self, limit: int, error: BaseException):
        self.left, self.error = limit, error

    def interpolate(self, img0, img1, **options):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().interpolate(img0, img1, ratio=None)


Interrupted.__name__ = "Average"  # the same network, as far as a job can tell


def content(path: Path) -> dict[str, bytes]:
    """A file's or a folder's bytes."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def spoil(files: list[Path], how: str) -> None:
    for file in files:
        if how == "missing":
            file.unlink()
        elif how == "short":
            os.truncate(file, file.stat().st_size - 1)
        elif how == "no record":
            file.write_bytes(b"")
