"""Animated WebP in: every frame, as long as browsers show it, up to where the file is damaged."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import Average, square
from PIL import Image

from video import Options, convert
from video.read.damage import DamagedVideo
from video.read.moving_images import WebpReader
from video.read.source import open_reader

SHOWN = [100, 100, 40, 10, 0, 100, 100, 2000]  # milliseconds
TIMES = [Fraction(k, 100) for k in (0, 10, 20, 24, 34, 44, 54, 64)]


@pytest.fixture
def source(tmp_path) -> Path:
    first, *others = [Image.fromarray(square(k)) for k in range(len(SHOWN))]
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, duration=SHOWN, loop=0, lossless=True)
    return tmp_path / "a.webp"


def test_frames_come_bit_for_bit_and_when_browsers_show_them(source):
    reader = open_reader([source])
    frames = list(reader.frames())
    assert isinstance(reader, WebpReader) and (reader.total, reader.size, reader.rate) == (8, (48, 64), 10)
    assert [frame.time for frame in frames] == TIMES and reader.duration == Fraction(264, 100)
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, square(k))
    assert [frame.time for frame in reader.frames(start=Fraction(1, 4))] == TIMES[4:]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".gif"])
def test_the_output_is_as_long(tmp_path, source, suffix):
    summary = convert([source], tmp_path / f"b{suffix}", Average(), Options())
    assert summary.frames == 16
    with av.open(str(summary.output)) as container:
        assert container.duration / 1e6 == pytest.approx(2.64, abs=0.011)


def test_of_a_cut_file_the_frames_before_the_cut_are_read(tmp_path, source):
    content = source.read_bytes()
    source.write_bytes(content[: content.rindex(b"ANMF") + 20])
    frames = []
    with pytest.raises(DamagedVideo, match=r"a.webp is truncated or corrupt after frame 7: \d+ bytes of it"):
        for frame in open_reader([source]).frames():
            frames.append(frame)
    assert [frame.time for frame in frames] == TIMES[:7]
    assert "bytes of it are missing" in convert([source], tmp_path / "b.mp4", Average(), Options()).damage


def test_a_damaged_frame_ends_the_frames(source):
    content = bytearray(source.read_bytes())
    place = content.rindex(b"VP8L")
    content[place : place + 12] = bytes(12)
    source.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.webp is truncated or corrupt after frame \d"):
        list(open_reader([source]).frames())


def test_a_still_webp_is_one_image(tmp_path):
    Image.fromarray(square(0)).save(tmp_path / "a.webp")
    with pytest.raises(ValueError, match=r"a.webp is one image; give two"):
        open_reader([tmp_path / "a.webp"])


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_seconds_are_refused(tmp_path, source, seconds):
    with pytest.raises(ValueError, match=f"seconds must be above 0, got {seconds}"):
        convert([source], tmp_path / "b.mp4", Average(), Options(seconds=Fraction(seconds)))
    assert not (tmp_path / "b.mp4").exists()
