"""One run at a time makes an output, and what is lost meanwhile is found out; long names are shortened or refused."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.clips import Average
from helpers.interrupted import COUNT, Interrupted, content, hidden, make_source, spoil
from helpers.runs import ROOT, launch

import common.whole_files
from common.whole_files import Lock
from video import convert

pytestmark = pytest.mark.usefixtures("short_segments")


@pytest.fixture
def clip(tmp_path) -> Path:
    return make_source(tmp_path)


class Meanwhile(Average):
    """The average; before the `number`th pair, something happens."""

    def __init__(self, number: int, happens: Callable[[], None]):
        self.left, self.happens = number, happens

    def interpolate(self, img0, img1, **options):
        self.left -= 1
        if self.left == 0:
            self.happens()
        return super().interpolate(img0, img1, ratio=None)


Meanwhile.__name__ = "Average"


@pytest.mark.parametrize("name", ["out.mp4", "out"])
@pytest.mark.parametrize("how", ["missing", "short"])
def test_a_segment_that_is_lost_meanwhile_ends_in_one_line_and_not_in_a_shorter_output(clip, tmp_path, name, how):
    part = tmp_path / f".{name}.part"
    pattern = "000000.nut" if "." in name else "frames/000003.png"
    with pytest.raises(OSError, match=r"of 4 segments, 1 are missing, changed or too many .0.; .*--resume makes"):
        convert([clip], tmp_path / name, Meanwhile(12, lambda: spoil(list(part.glob(pattern)), how)))
    assert not (tmp_path / name).exists()
    convert([clip], tmp_path / name, Average(), resume=True)
    (tmp_path / "whole").mkdir()
    convert([clip], tmp_path / "whole" / name, Average())
    assert content(tmp_path / name) == content(tmp_path / "whole" / name)


@pytest.mark.parametrize("name", ["out.mp4", "out", "out.gif"])
@pytest.mark.parametrize("flags", [{}, {"resume": True}, {"overwrite": True}])
def test_a_second_run_on_one_output_is_told_who_makes_it(clip, tmp_path, name, flags):
    def second() -> None:
        with pytest.raises(OSError, match=rf"{name} is being made by process {os.getpid()} on .*; wait for it"):
            convert([clip], tmp_path / name, Average(), **flags)

    model = Meanwhile(8, second)
    assert convert([clip], tmp_path / name, model, **flags).frames == 2 * COUNT
    assert model.left < 0 and hidden(tmp_path) == []


def test_two_processes_that_resume_one_output_make_it_once(clip, tmp_path):
    """Over and over, in processes: one makes it, the other is refused or comes too late."""
    code = f"""
import sys, video.schedule.timeline
from helpers.clips import Average
from utils import run_script
from video import convert
video.schedule.timeline.SEGMENT = 4
run_script(lambda _: convert([{str(clip)!r}], {str(tmp_path / "out.mp4")!r}, Average(), resume=True), None)
"""
    convert([clip], tmp_path / "whole.mp4", Average())
    runs = [launch("-c", code, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}") for _ in range(2)]
    printed = [run.communicate(timeout=120)[0] for run in runs]
    for run, text in zip(runs, printed, strict=True):
        assert run.returncode == 0 or "is being made by process" in text or "exists; give --overwrite" in text, text
    assert sorted(run.returncode for run in runs) == [0, 1]
    assert content(tmp_path / "out.mp4")["out.mp4"] == content(tmp_path / "whole.mp4")["whole.mp4"]
    assert hidden(tmp_path) == []


def test_a_lock_belongs_to_one_and_ends_with_it(tmp_path, caplog, monkeypatch):
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    (tmp_path / "lock").write_text("a killed process")
    first.take(tmp_path / "a.mp4")
    with pytest.raises(OSError, match=r"a\.mp4 is being made by process"):
        second.take(tmp_path / "a.mp4")
    second.release()
    assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on")
    first.release()
    second.take(tmp_path / "a.mp4")
    second.release()
    assert not (tmp_path / "lock").exists() and not caplog.text

    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("common.whole_files._lock", unsupported)
    first.take(tmp_path / "a.mp4")
    assert "this file system has no locks (No locks available); start no second run" in caplog.text


def test_a_holder_is_named_that_writes_its_name_only_after_a_moment(tmp_path, monkeypatch):
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    first.take(tmp_path / "a.mp4")
    (tmp_path / "lock").write_text("")
    monkeypatch.setattr("common.whole_files.time.sleep", lambda _: (tmp_path / "lock").write_text("process 7"))
    with pytest.raises(OSError, match="is being made by process 7"):
        second.take(tmp_path / "a.mp4")
    (tmp_path / "lock").write_text("")
    monkeypatch.setattr("common.whole_files.time.sleep", lambda _: None)
    monkeypatch.setattr("common.whole_files.PATIENCE", 0)
    with pytest.raises(OSError, match="is being made by another process"):
        second.take(tmp_path / "a.mp4")
    first.release()


def test_a_lock_whose_file_is_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    lock, take = Lock(tmp_path / "lock"), common.whole_files._lock
    calls = []

    def removed(file):
        calls.append(file)
        if len(calls) == 1:
            (tmp_path / "lock").unlink()  # by the one that held it until now
        take(file)

    monkeypatch.setattr("common.whole_files._lock", removed)
    lock.take(tmp_path / "a.mp4")
    assert len(calls) == 2 and (tmp_path / "lock").exists()


class Windows:
    """What of `msvcrt` is used: bytes of files, each held by one that opened the file, and errors as Windows raises."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self):
        self.held = {}

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        found = os.fstat(descriptor)
        place = found.st_dev, found.st_ino, os.lseek(descriptor, 0, os.SEEK_CUR), count
        if mode == self.LK_UNLCK:
            if self.held.pop(place, None) != descriptor:
                raise PermissionError(errno.EACCES, "Permission denied")
        elif self.held.setdefault(place, descriptor) != descriptor:
            raise PermissionError(errno.EACCES, "Permission denied")


@pytest.fixture
def windows(monkeypatch) -> Windows:
    system = Windows()
    monkeypatch.setattr("common.whole_files.FCNTL", None)
    monkeypatch.setattr("common.whole_files.MSVCRT", system)
    return system


def test_windows_locks_a_byte_behind_the_text(tmp_path, windows, monkeypatch, caplog):
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    first.take(tmp_path / "a.mp4")
    with pytest.raises(OSError, match=rf"a\.mp4 is being made by process {os.getpid()} on .*; wait for it"):
        second.take(tmp_path / "a.mp4")
    assert len(windows.held) == 1 and all(place[2] == common.whole_files.BYTE for place in windows.held)
    first.release()
    assert not windows.held and not (tmp_path / "lock").exists()
    second.take(tmp_path / "a.mp4")

    def in_use(*_, **__):
        raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", in_use)
        second.release()
    assert not windows.held and (tmp_path / "lock").exists()  # left behind, but free
    first.take(tmp_path / "a.mp4")
    assert (tmp_path / "lock").read_text().count("process") == 1
    first.release()
    first.release()
    assert not caplog.text


def test_on_windows_a_second_run_is_told_who_makes_the_output_too(clip, tmp_path, windows):
    def second() -> None:
        with pytest.raises(OSError, match=rf"out.mp4 is being made by process {os.getpid()} on"):
            convert([clip], tmp_path / "out.mp4", Average(), resume=True)

    model = Meanwhile(8, second)
    assert convert([clip], tmp_path / "out.mp4", model).frames == 2 * COUNT
    assert model.left < 0 and hidden(tmp_path) == [] and not windows.held


def test_a_system_without_any_lock_says_so_and_goes_on(tmp_path, windows, monkeypatch, caplog):
    monkeypatch.setattr("common.whole_files.MSVCRT", None)
    lock = Lock(tmp_path / "lock")
    lock.take(tmp_path / "a.mp4")
    assert "this file system has no locks (neither fcntl nor msvcrt is there); start no second run" in caplog.text
    lock.release()
    assert not (tmp_path / "lock").exists()


@pytest.mark.parametrize("name", [f"{'é' * 120}.mp4", f"{'a' * 251}.mp4", f"{'é' * 125}.gif", "é" * 127])
def test_the_longest_names_are_written_and_resumed(clip, tmp_path, name):
    with pytest.raises(KeyboardInterrupt):
        convert([clip], tmp_path / name, Interrupted(10, KeyboardInterrupt()))
    assert all(len(os.fsencode(path)) < 143 for path in hidden(tmp_path))
    convert([clip], tmp_path / name, Average(), resume=True)
    assert (tmp_path / name).exists() and hidden(tmp_path) == []


@pytest.mark.parametrize("name", [f"{'é' * 126}.mp4", f"{'a' * 260}", f"{'b' * 300}/out.mp4"])
def test_a_name_that_is_too_long_is_refused_before_anything_is_computed(clip, tmp_path, name):
    with pytest.raises(OSError, match=r"the name .* is \d+ bytes long, and .* takes 255; shorten it"):
        convert([clip], tmp_path / name, Interrupted(0, AssertionError()))
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
