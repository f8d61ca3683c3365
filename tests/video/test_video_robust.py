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
from helpers.clips import Instant
from helpers.mutants import Mutant, make_originals, mutate
from helpers.plain_decoder import are_alike, decode_plainly

import interpolate
from utils import run_script
from video.read.reader import DamagedVideo, VideoReader

MOST_SILENT, MOST_UNTOLD = 10, 28  # of 500, see `judge`; 1 and 18 here, by encoder and processor a few more or less
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
    for path, *_ in mutate(originals, tmp_path / "mutants", 5000):
        with alarm(path):
            found[read_all(path)] += 1
    assert all(found[kind] > 300 for kind in ("whole", "damaged", "refused"))


def run(path: Path, options: str, folder: Path, capsys: pytest.CaptureFixture) -> tuple[int, Path]:
    """`python interpolate.py` on one file: its exit status and its output. Checks what it says and leaves."""
    name, *flags = options.split()
    output = folder / name
    code = 0
    try:
        with alarm(path):
            run_script(interpolate.main, interpolate.parse_args([str(path), "--output", str(output), *flags]))
    except SystemExit as end:
        code = end.code
    lines = re.split(r"[\r\n]+", capsys.readouterr().err)
    assert sum(line.startswith("error: ") for line in lines) == (code == 1), (path, lines)
    leftovers = sorted({entry.name for entry in folder.iterdir()} - ({name} if code in (0, 3) else set()))
    if leftovers:
        raise Leftover(f"{path} leaves {leftovers}")
    assert code == 1 or output.exists(), path
    return code, output


class Leftover(Exception):
    """Files that belong to no output."""


def convert(path: Path, number: int, folder: Path, capsys: pytest.CaptureFixture) -> int:
    """`run` to one of the kinds of output in turn, which is checked and removed: the exit status."""
    code, output = run(path, OUTPUTS[number % len(OUTPUTS)], folder, capsys)
    if output.is_file():
        assert VideoReader(output).size == VideoReader(path).size, path
    clear(folder)
    return code


def clear(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.slow
def test_interpolate_has_an_answer_to_every_damage(originals, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(interpolate, "network", lambda args, device: Instant())
    found = Counter()
    mutants = (mutant.path for mutant in mutate(originals, tmp_path / "mutants", 600))
    for number, path in enumerate(chain(originals, mutants)):
        found[convert(path, number + number // len(originals), tmp_path / "out", capsys)] += 1
    assert found[0] > 100 and found[1] > 100 and found[3] > 10 and set(found) == {0, 1, 3}


def judge(mutant: Mutant, output: Path) -> list[str]:
    """What is wrong with an output that is said to be whole, although a plain decoder complains of its input.

    "silent": its frames are not those of the plain decoder. "untold": they are not those of the undamaged file either,
    of which a recording that begins late has only the end.
    """
    plain = decode_plainly(mutant.path)
    if not plain.has_errors:
        return []
    ours, whole = decode_plainly(output).images, decode_plainly(mutant.original).images
    whole *= 2 if mutant.change == "repeat" else 1
    if mutant.change == "begin_late" and ours:
        whole = whole[-len(ours) :]
    is_whole = are_alike(ours, whole)
    return ["silent"] * (not is_whole and not are_alike(ours, plain.images)) + ["untold"] * (not is_whole)


@pytest.mark.slow
def test_500_damaged_files_end_in_an_answer_that_is_true(originals, tmp_path, monkeypatch, capsys):
    """No traceback, no hang, nothing left over; and exit status 0 says that nothing is lost or guessed."""
    monkeypatch.setattr(interpolate, "network", lambda args, device: Instant())
    formats = [path for path in originals if path.name.startswith("kind")]
    assert len({path.suffix for path in formats}) >= 11
    found: dict[str, list[str]] = {name: [] for name in ("traceback", "hang", "leftover", "silent", "untold")}
    folder = tmp_path / "out"
    for mutant in mutate(formats, tmp_path / "mutants", 500):
        clear(folder)
        name = f"{mutant.path.name} ({mutant.change})"
        try:
            code, output = run(mutant.path, "a.mkv --codec ffv1 --multiplier 1", folder, capsys)
        except Hang:
            found["hang"].append(name)
        except Leftover:
            found["leftover"].append(name)
        except Exception:  # of any kind: each is a bug
            found["traceback"].append(name)
        else:
            for wrong in judge(mutant, output) if code == 0 else []:
                found[wrong].append(name)
    print({name: len(paths) for name, paths in found.items()})
    assert not (found["traceback"] or found["hang"] or found["leftover"]), found
    assert len(found["silent"]) <= MOST_SILENT, found["silent"]
    assert len(found["untold"]) <= MOST_UNTOLD, found["untold"]
