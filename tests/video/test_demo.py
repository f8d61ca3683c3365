"""What `make demo` leaves, and which pair of frames it shows."""

from fractions import Fraction

import numpy as np
import pytest
from helpers.clips import make_clip, square
from PIL import Image

import demo
from datasets.clips import EXAMPLE
from models import waveletvfi
from utils import run_script
from video import Frame, VideoReader


def run(line: str) -> None:
    run_script(demo.main, demo.parse_args(line.split()))


def test_demo_leaves_a_video_and_a_picture(tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setattr(demo, "network", lambda args, device: waveletvfi(config="small"))
    clip = make_clip(tmp_path / "squares.mp4", [square(k) for k in range(4)], pix_fmt="yuv420p")
    run(f"--clip {clip} --seconds 0.1 --output {tmp_path / 'out'}")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["demo.png", "squares_x2.mp4"]
    assert len(list(VideoReader(tmp_path / "out" / "squares_x2.mp4").frames())) == 6
    assert Image.open(tmp_path / "out" / "demo.png").width == 2000


def test_a_clip_that_is_not_there_is_named(capsys):
    with pytest.raises(SystemExit):
        run("--clip cats.mp4")
    assert "cats.mp4" in capsys.readouterr().err


def test_the_clip_in_the_repository_is_small_and_its_maker_is_named():
    reader = VideoReader(EXAMPLE)
    assert (reader.size, reader.rate, len(list(reader.frames()))) == ((360, 640), 24, 48)
    assert EXAMPLE.stat().st_size < 200_000
    assert EXAMPLE.name in (text := EXAMPLE.with_name("README.md").read_text())
    assert "CC BY 3.0" in text and "(c) copyright 2008, Blender Foundation / www.bigbuckbunny.org" in text


def test_the_liveliest_pair_is_not_a_cut():
    values = [0, 1, 2, 5, 6, 200, 201, 203]  # steps 1 1 3 1 194 1 2
    frames = [Frame(np.full((2, 2, 3), v, np.uint8), Fraction(k), "") for k, v in enumerate(values)]
    pair = demo.liveliest_pair(frames)
    assert [int(frame.image[0, 0, 0]) for frame in pair] == [2, 5]
    with pytest.raises(ValueError, match="pair of frames is needed"):
        demo.liveliest_pair(frames[:1])
