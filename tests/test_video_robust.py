"""Hundreds of damaged videos: an answer or one line, never a traceback, hang, wrong size, or something left over."""

import contextlib
import logging
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from mutants import make_originals, mutate
from test_interpolate import Instant

import interpolate
from utils import run_script
from video.reader import DamagedVideo, VideoReader

SECONDS = 20  # for each file; the slowest takes less than one
OUTPUTS = [
    "a.mp4", "a.mkv", "a.webm", "a.gif", "frames", "a.mkv --codec ffv1", "a.apng", "a.mp4 --fps 60", "a.mov --slow 2",
]  # fmt: skip


class Hang(BaseException):
    """Not an Exception, so that nobody handles it."""


@contextlib.contextmanager
def alarm(path: Path) -> Iterator[None]:
    def raise_hang(*_: object) -> None:
        raise Hang(f"{path} takes longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, raise_hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def originals(tmp_path, monkeypatch) -> list[Path]:
    monkeypatch.setattr(logging.getLogger("waveletvfi"), "disabled", True)
    for name in ("originals", "mutants", "out"):
        (tmp_path / name).mkdir()
    return make_originals(tmp_path / "originals")


def read_all(path: Path) -> str:
    """What became of a file; every frame has the size that was promised, and comes after the one before."""
    count = last = None
    try:
        reader = VideoReader(path)
    except (ValueError, OSError):
        return "refused"
    try:
        for count, frame in enumerate(reader.frames(), start=1):  # noqa: B007
            assert frame.image.shape == (*reader.size, 3), path
            assert last is None or frame.time > last, path
            last = frame.time
    except DamagedVideo as damage:
        assert damage.count == (count or 0) and damage.time == last, path
        return "damaged"
    return "whole"


def test_what_is_whole_is_read(originals):
    assert len(originals) >= 20
    assert {path.name: read_all(path) for path in originals} == {path.name: "whole" for path in originals}


@pytest.mark.slow
def test_the_reader_has_an_answer_to_every_damage(originals, tmp_path):
    found = Counter()
    for path in mutate(originals, tmp_path / "mutants", 5000):
        with alarm(path):
            found[read_all(path)] += 1
    assert all(found[kind] > 300 for kind in ("whole", "damaged", "refused"))


def convert(path: Path, number: int, folder: Path, capsys: pytest.CaptureFixture) -> int:
    """`python interpolate.py` on one file; checks what it says and leaves."""
    name, *options = OUTPUTS[number % len(OUTPUTS)].split()
    output = folder / name
    code = 0
    try:
        with alarm(path):
            run_script(interpolate.main, interpolate.parse_args([str(path), "--output", str(output), *options]))
    except SystemExit as end:
        code = end.code
    lines = re.split(r"[\r\n]+", capsys.readouterr().err)
    assert sum(line.startswith("error: ") for line in lines) == (code == 1), (path, lines)
    assert [entry.name for entry in folder.iterdir()] == ([name] if code in (0, 3) else []), path
    if output.is_file():
        assert VideoReader(output).size == VideoReader(path).size, path
        output.unlink()
    shutil.rmtree(output, ignore_errors=True)
    return code


@pytest.mark.slow
def test_interpolate_has_an_answer_to_every_damage(originals, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(interpolate, "network", lambda args, device: Instant())
    found = Counter()
    for number, path in enumerate(chain(originals, mutate(originals, tmp_path / "mutants", 600))):
        found[convert(path, number + number // len(originals), tmp_path / "out", capsys)] += 1
    assert found[0] > 100 and found[1] > 100 and found[3] > 10 and set(found) == {0, 1, 3}
