"""`python interpolate.py` as a user meets it: a result under its name, or one line, a non-zero exit and nothing."""

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import Average, Instant, make_clip, packets, square
from PIL import Image

import interpolate
from utils import run_script
from video import VideoReader

pytestmark = pytest.mark.usefixtures("instant_network")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A working folder with a clip, frames, and a pair of images."""
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "clip.mp4", [square(k) for k in range(5)], sound=[0.2])
    (tmp_path / "frames").mkdir()
    for k in range(3):
        Image.fromarray(square(k)).save(tmp_path / "frames" / f"{k}.png")
    Image.fromarray(square(0)).save(tmp_path / "a.png")
    Image.fromarray(square(2)).save(tmp_path / "b.png")
    return tmp_path


def run(line: str) -> None:
    run_script(interpolate.main, interpolate.parse_args(line.split()))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_two_images_become_the_middle_one(folder, capsys):
    run("a.png b.png --output new/middle.png")
    expected = np.rint((square(0).astype(float) + square(2)) / 2 + 1e-3)
    assert np.abs(pixels(folder / "new/middle.png") - expected).max() <= 1
    printed = capsys.readouterr().out
    assert re.match(r"1 frame in new/middle.png: 1 made by 1 network call, .* s each\n$", printed)


def test_two_images_become_a_folder_of_frames(folder):
    run("a.png b.png --output out --multiplier 4")
    assert [path.name for path in sorted(Path("out").iterdir())] == [f"{k:06d}.png" for k in range(8)]


def test_a_folder_of_frames_holds_every_source_frame_bit_for_bit(folder):
    run("frames --output out --multiplier 4")
    assert len(list(Path("out").iterdir())) == 12
    for k in range(3):
        np.testing.assert_array_equal(pixels(folder / f"out/{4 * k:06d}.png"), square(k))


def test_a_video_becomes_a_video_with_its_sound(folder, capfd):
    run("clip.mp4 --output out.mp4 --crf 10")
    assert len(list(VideoReader("out.mp4").frames())) == 10
    assert packets(Path("out.mp4")) == packets(Path("clip.mp4"))
    captured = capfd.readouterr()
    assert "10/10" in captured.err and "10 frames in out.mp4: " in captured.out


@pytest.mark.parametrize(
    ("given", "rate"), [("", 25), ("--input_fps 23.976", Fraction(24000, 1001)), ("--input-fps 12.5", 12.5)]
)
def test_frames_become_a_video_at_twice_the_rate_given_or_said(folder, caplog, given, rate):
    run(f"frames --output out.mp4 {given}")
    assert VideoReader("out.mp4").rate == 2 * rate
    assert ("taken as 25 frames per second" in caplog.text) == (not given)


@pytest.mark.parametrize(
    ("line", "rate", "count"),
    [("--fps 60", 60, 13), ("--fps 59.94", Fraction(60000, 1001), 13), ("--multiplier 5/2", Fraction(60000, 1001), 13),
     ("--slow 4", Fraction(24000, 1001), 20), ("--slow 2 --fps 50", 50, 21), ("--seconds 0.1 --multiplier 3", None, 9)],
)  # fmt: skip
def test_rates_are_as_asked_for(folder, line, rate, count):
    run(f"clip.mp4 --output out.mp4 {line}")
    reader = VideoReader("out.mp4")
    assert len(list(reader.frames())) == count
    assert rate in (None, reader.rate)
    assert len(packets(Path("out.mp4"))) == ("--slow" not in line)


def test_the_comparison_shows_the_input_to_the_left(folder):
    run("frames --output out --compare")
    for k in range(6):
        np.testing.assert_array_equal(pixels(folder / f"out/{k:06d}.png")[:, :64], square(k // 2))
    np.testing.assert_array_equal(pixels(folder / "out/000002.png")[:, 64:], square(1))


def test_options_reach_the_network_the_content_and_the_encoder(folder, monkeypatch):
    seen = []

    class Recorder(Average):
        def interpolate(self, img0, img1, **options):
            seen.append((options, img0.shape[-1]))
            return img0

    monkeypatch.setattr(interpolate, "network", lambda args, device: Recorder())
    monkeypatch.chdir(folder)
    wide = [np.repeat(square(k), 4, axis=1) for k in range(3)]
    make_clip(folder / "wide.mp4", [wide[0], *wide, wide[2]])
    run("wide.mp4 --output out.mkv --budget 0.25 --tile 128 --depth 1 --codec ffv1 --duplicates drop --fps 24")
    assert {options["budget"] for options, _ in seen} == {0.25} and max(width for _, width in seen) == 128
    with av.open("out.mkv") as container:
        assert container.streams.video[0].codec_context.name == "ffv1"


def test_a_damaged_video_is_done_as_far_as_it_goes_and_says_so_with_status_3(folder, capsys):
    make_clip(folder / "long.mp4", [square(k % 12) for k in range(60)], fast_start=True, pix_fmt="yuv420p")
    Path("cut.mp4").write_bytes(Path("long.mp4").read_bytes()[:-1500])
    with pytest.raises(SystemExit) as failure:
        run("cut.mp4 --output out.mp4")
    captured = capsys.readouterr()
    assert failure.value.code == 3
    assert re.search(r"damaged: cut.mp4 is truncated or corrupt after frame \d+ of 60", captured.err)
    count = len(list(VideoReader("out.mp4").frames()))
    assert 0 < count < 120 and f"{count} frames in out.mp4: " in captured.out


def test_an_existing_file_is_replaced_only_when_asked(folder, capsys):
    Path("out.mp4").write_bytes(b"old")
    with pytest.raises(SystemExit):
        run("clip.mp4 --output out.mp4")
    assert "out.mp4 exists; give --overwrite" in capsys.readouterr().err
    assert Path("out.mp4").read_bytes() == b"old"
    run("clip.mp4 --output out.mp4 --overwrite")
    assert len(list(VideoReader("out.mp4").frames())) == 10


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("clip.mp4 --output out.mp4 --multiplier 1/2", "multiplier must be at least 1"),
        ("clip.mp4 --output out.mp4 --fps 0", "fps must be above 0"),
        ("clip.mp4 --output out.mp4 --slow -1", "slow must be above 0"),
        ("frames --output out.mp4 --input_fps 2000", "input_fps must be from 1/1000 to 1000, got 2000"),
        ("frames --output out.mp4 --input_fps 0", "input_fps must be from 1/1000 to 1000, got 0"),
        ("clip.mp4 --output out.mp4 --input_fps 25", "clip.mp4 has its own rate"),
        ("clip.mp4 --output out.mp4 --depth 11", "depth must be from 1 to 10"),
        ("clip.mp4 --output out.mp4 --scene_threshold -1", "scene_threshold must be from 0 to 255"),
        ("clip.mp4 --output out.mp4 --tile 20", "tiles need at least 128 pixels"),
        ("clip.mp4 --output out.mp4 --crf 52", "--crf from 0 to 51"),
        ("clip.mp4 --output out.mp4 --preset warp", "h264 takes one of"),
        ("clip.mp4 --output out.webm --codec h264", ".webm does not hold h264"),
        ("clip.mp4 --output out.mp4 --report out.pdf", "out.pdf: a report is a .png"),
        ("clip.mp4 --output out.mp4 --report words/r.png", "words/r.png cannot be written: "),
        ("clip.mp4 --output out.mp4 --report dir.png", "dir.png is a folder; give a file's name for the report"),
        (f"clip.mp4 --output out.mp4 --report {'r' * 252}.png", "is 256 bytes long, and "),
        ("a.png b.png --output out.png --report a.png", "a.png is given for two files; give the report another name"),
        ("a.png b.png --output out.png --report out.png", "out.png is given for two files"),
        ("frames --output out.mp4 --report frames/1.png", "frames/1.png lies among the frames of the input"),
        ("frames/*.png --output out.mp4 --report frames/1.png", "frames/1.png lies among the frames of the input"),
        ("page.mp4 --output out.mp4", "page.mp4 is not a video but a web page; download the file itself"),
        ("pointer.mp4 --output out.mp4", "pointer.mp4 is not a video but a pointer of Git LFS to the file itself"),
        ("pointer.png a.png --output out.png", "pointer.png is not an image but a pointer of Git LFS"),
        ("none.mp4 --output out.mp4", "no such file or folder: none.mp4"),
        ("a.png none.png --output out.png", "no such file or folder: none.png"),
        ("frames a.png --output out", "frames is a folder; give one folder, or two images"),
        ("a.png --output out", "a.png is one image"),
        ("clip.mp4 --output clip.mp4 --overwrite", "clip.mp4 is the input"),
        ("frames --output frames", "frames is the input"),
        ("pair --output pair/1.png --overwrite", "pair/1.png is the input"),
        ("pair/*.png --output pair/1.png --overwrite", "pair/1.png is the input"),
        ("clip.mp4 --output link", "link is a link, a mount or the current folder, and a finished folder takes"),
        ("../clip.mp4 --output .", ". is a link, a mount or the current folder"),
        ("clip.mp4 --output out.png", "holds the middle one of two images"),
        ("a.png b.png a.png --output out.png", "holds the middle one of two images"),
        ("a.png b.png --output out.png --multiplier 4", "holds the middle one of two images"),
        ("clip.mp4 --output out.xyz", "unknown kind '.xyz'"),
        ("clip.mp4 --output full", "full is a folder that is not empty"),
        ("clip.mp4 --output dir.mp4", "dir.mp4 is a folder"),
        ("a.png b.png --output dir.png", "dir.png is a folder"),
        ("clip.mp4 --output words --overwrite", "words is a file, and frames need a folder"),
        ("clip.mp4 --output words/out.mp4", "words/out.mp4 cannot be written"),
        ("clip.mp4 --output out.mp4 --device nonsense", "device 'nonsense' cannot be used"),
        ("empty --output out.mp4", "empty holds no image"),
        ("wide.png a.png --output out.png", "wide.png is 9x5 and a.png is 64x48"),
        ("words words2 --output out.png", "words is not an image"),
        ("words --output out.mp4", "words is not a video"),
        ("cut.png a.png --output out.png", "cut.png is truncated or corrupt"),
        ("torn --output out", "1.png is truncated or corrupt"),
        ("single.mp4 --output out.mp4", "single.mp4 frame 1 is the only frame"),
        ("cut.mp4 --output out.mp4", "cut.mp4 is not a video, or is truncated"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_a_failure_and_leaves_nothing(folder, capsys, monkeypatch, line, words):
    for name in ("empty", "full", "torn", "pair", "dir.mp4", "dir.png"):
        Path(name).mkdir()
    Path("link").symlink_to("empty", target_is_directory=True)
    Path("full/old.txt").touch()
    for name in ("words", "words2"):
        Path(name).write_text("just some words\n" * 20)
    Path("page.mp4").write_text("<!DOCTYPE html>\n<html></html>\n")
    for name in ("pointer.mp4", "pointer.png"):
        Path(name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:01\nsize 9\n")
    Image.new("RGB", (9, 5)).save("wide.png")
    torn = Path("a.png").read_bytes()[:-40]
    for path in ("cut.png", "torn/1.png"):
        Path(path).write_bytes(torn)
    for path in ("torn/0.png", "torn/2.png", "pair/0.png", "pair/1.png"):
        Path(path).write_bytes(Path("a.png").read_bytes())
    make_clip(Path("single.mp4"), [square(0)])
    Path("cut.mp4").write_bytes(Path("clip.mp4").read_bytes()[:-200])
    before = sorted(folder.rglob("*"))
    if line.endswith(" ."):
        monkeypatch.chdir("empty")
    with pytest.raises(SystemExit) as failure:
        run(line)
    assert failure.value.code == 1
    errors = [text for text in re.split(r"[\r\n]+", capsys.readouterr().err) if text and "frame/s" not in text]
    assert len(errors) == 1 and errors[0].startswith("error: ") and words in errors[0]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("output", ["out.mp4", "out"])
def test_ctrl_c_before_a_segment_is_finished_leaves_nothing(folder, monkeypatch, output):
    pairs = []

    class Interrupted(Instant):
        def interpolate_details(self, img0, img1, **options):
            pairs.append(options["ratio"])
            if len(pairs) == 3:
                raise KeyboardInterrupt
            return super().interpolate_details(img0, img1, **options)

    monkeypatch.setattr(interpolate, "network", lambda args, device: Interrupted())
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as failure:
        run(f"clip.mp4 --output {output} --ratio 0.5")
    assert failure.value.code == 130 and pairs == [0.5] * 3
    assert sorted(folder.rglob("*")) == before


def test_the_script_runs_as_a_file_from_anywhere(folder):
    script = Path(interpolate.__file__).resolve()
    done = subprocess.run([sys.executable, script, "a.png", "--output", "b"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "error: a.png is one image; give two, a folder of frames, or a video\n"
