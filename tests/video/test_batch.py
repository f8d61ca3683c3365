"""Several videos into a folder: each becomes one under its own name, and one that fails does not end the work."""

import re
from pathlib import Path

import pytest
from helpers.clips import make_clip, square
from helpers.runs import ROOT, finish, launch
from PIL import Image

import interpolate
from utils import run_script
from video import VideoReader, find_videos, place_outputs
from video.read.images import list_frames

pytestmark = pytest.mark.usefixtures("instant_network")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with videos, frames, and what is no video."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mkv", "clips/c.mp4", "clips/c10.mp4", "clips/c9.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make_clip(tmp_path / name, [square(k) for k in range(3)])
    make_clip(tmp_path / "old.avi", [square(k) for k in range(3)], codec="mpeg4", pix_fmt="yuv420p", rate=24)
    (tmp_path / "clips/notes.txt").write_text("not a video")
    (tmp_path / "clips/.hidden.mp4").write_text("not a video")
    for name in ("frames", "both"):
        (tmp_path / name).mkdir()
        for k in range(3):
            Image.fromarray(square(k)).save(tmp_path / name / f"{k}.png")
    make_clip(tmp_path / "both/d.mp4", [square(k) for k in range(3)])
    (tmp_path / "bad.mp4").write_text("just words\n" * 20)
    (tmp_path / "empty").mkdir()
    return tmp_path


def run(line: str) -> None:
    run_script(interpolate.main, interpolate.parse_args(line.split()))


def counts(folder: Path) -> dict[str, int]:
    return {path.name: len(list(VideoReader(path).frames())) for path in folder.iterdir()}


def test_files_folders_and_patterns_become_a_folder_of_videos(folder, capsys):
    run("a.mp4 b.mkv old.avi clips --output out")
    names = ("a.mp4", "b.mkv", "old.mp4", "c.mp4", "c9.mp4", "c10.mp4")
    assert counts(folder / "out") == dict.fromkeys(names, 6)
    assert re.search(r"\n6 of 6 videos done in \d+ s\n$", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("inputs", "videos"),
    [
        ("a.mp4 b.mkv", ["a.mp4", "b.mkv"]),
        ("clips", ["clips/c9.mp4", "clips/c10.mp4", "clips/c.mp4"]),
        ("clips/c?.mp4", ["clips/c9.mp4"]),
        ("clips/c1* a.mp4", ["clips/c10.mp4", "a.mp4"]),
        ("a.mp4 bad.mp4", ["a.mp4", "bad.mp4"]),
        ("a.mp4", None), ("frames", None), ("frames/*.png", None), ("frames/0.png frames/1.png", None),
        ("-", None), ("none.mp4", None), ("both", None), ("both/*", None), ("empty", None), ("clips/notes.txt", None),
    ],
)  # fmt: skip
def test_one_video_and_frames_mean_what_they_mean_alone(folder, inputs, videos):
    found = find_videos([Path(name) for name in inputs.split()])
    assert found == (videos if videos is None else [Path(name) for name in videos])


def test_a_folder_of_frames_is_one_though_a_video_lies_in_it(folder, caplog):
    run("both --output out")
    assert len(list_frames("out")) == 6
    assert "both is taken as frames: the videos in it are left out" in caplog.text


def test_a_failure_is_told_and_the_others_are_made(folder, capsys):
    with pytest.raises(SystemExit) as failure:
        run("a.mp4 bad.mp4 b.mkv --output out")
    assert failure.value.code == 1
    assert counts(folder / "out") == {"a.mp4": 6, "b.mkv": 6}
    printed = capsys.readouterr()
    assert re.search(r"2 of 3 videos done in \d+ s\nfailed: bad.mp4: bad.mp4 is not a video", printed.out)
    assert "bad.mp4 failed: bad.mp4 is not a video" in printed.err


def test_resume_makes_only_what_is_missing(folder, capsys):
    run("a.mp4 b.mkv --output out")
    before = (folder / "out/a.mp4").stat().st_mtime_ns
    (folder / "out/b.mkv").unlink()
    run("a.mp4 b.mkv --output out --resume")
    assert (folder / "out/a.mp4").stat().st_mtime_ns == before and counts(folder / "out")["b.mkv"] == 6
    assert "out/a.mp4 is there already" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run("a.mp4 b.mkv --output out")
    assert "0 of 2 videos done" in capsys.readouterr().out
    run("a.mp4 b.mkv --output out --overwrite")


def test_resume_does_not_take_a_video_for_its_own_output(folder, capsys):
    with pytest.raises(SystemExit):
        run("old.avi clips --output clips --resume")
    printed = capsys.readouterr().out
    assert "1 of 4 videos done" in printed and "failed: clips/c.mp4: clips/c.mp4 is the input; give" in printed


def test_a_damaged_video_among_several_gives_status_3(folder, capsys):
    images = [square(k % 12) for k in range(60)]
    make_clip(folder / "long.mp4", images, fast_start=True, pix_fmt="yuv420p")
    Path("cut.mp4").write_bytes(Path("long.mp4").read_bytes()[:-1500])
    with pytest.raises(SystemExit) as failure:
        run("a.mp4 cut.mp4 --output out")
    assert failure.value.code == 3
    assert re.search(r"2 of 2 videos done in \d+ s\ndamaged: cut.mp4 is truncated", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a.mp4 b.mkv --output out.mp4", "several videos go into a folder, and out.mp4 is a file"),
        ("a.mp4 b.mkv --output bad.mp4", "several videos go into a folder, and bad.mp4 is a file"),
        ("a.mp4 b.mkv --output -", "several videos go into a folder, and - is a file"),
        ("a.mp4 frames --output out", "a.mp4 names videos, but frames does not"),
        ("frames/0.png a.mp4 --output out", "a.mp4 names videos, but frames/0.png does not"),
        ("a.mp4 - --output out", "a.mp4 names videos, but - does not"),
        ("clips both --output out", "clips names videos, but both does not"),
        ("a.mp4 none.mp4 --output out", "no such file or folder: none.mp4"),
        ("a.mp4 a.mp4 --output out", "a.mp4 and a.mp4 would both become out/a.mp4"),
        ("a.mp4 b.mkv --output out --report r.png", "--report works with one video"),
        ("empty --output out", "empty holds no image"),
        ("a.mp4 --output out.mp4 --compile --workers 2", "--compile works in one process"),
        ("a.mp4 --output out.mp4 --workers 0", "workers must be at least 1, got 0"),
        ("a.mp4 --output out.mp4 --threads 0", "threads must be at least 1, got 0"),
    ],
)
def test_what_is_ambiguous_is_one_line_and_makes_nothing(folder, capsys, line, words):
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as failure:
        run(line)
    assert failure.value.code == 1
    errors = [text for text in capsys.readouterr().err.splitlines() if text.startswith("error: ")]
    assert len(errors) == 1 and words in errors[0]
    assert sorted(folder.rglob("*")) == before


def test_an_output_keeps_a_container_that_is_written(tmp_path):
    names = ["a.mp4", "b.mkv", "c.webm", "d.gif", "e.avi", "f.ts", "g.MOV"]
    places = place_outputs([Path("in") / name for name in names], tmp_path / "out")
    assert [place.name for place in places] == ["a.mp4", "b.mkv", "c.webm", "d.gif", "e.mp4", "f.mp4", "g.MOV"]
    with pytest.raises(ValueError, match=r"in/a.avi and in/a.ts would both become .*a.mp4; convert them into two fold"):
        place_outputs([Path("in/a.avi"), Path("in/a.ts")], tmp_path / "out")


@pytest.mark.slow
def test_torchrun_shares_the_videos_out_and_tells_of_all(folder):
    inputs = [str(folder / name) for name in ("a.mp4", "bad.mp4", "b.mkv", "clips")]
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", f"{ROOT}/interpolate.py")
    printed = finish(launch(*command, *inputs, "--output", str(folder / "out"), "--device", "cpu"), 1)
    assert printed.count("5 of 6 videos done") == 1 == printed.count("\nfailed: ")
    assert counts(folder / "out") == dict.fromkeys(("a.mp4", "b.mkv", "c.mp4", "c9.mp4", "c10.mp4"), 6)
