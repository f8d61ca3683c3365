"""Interlaced video: said by default, made whole if asked for."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.clips import Average, make_clip
from PIL import Image

import interpolate
from video import Options, VideoReader, convert


def moving(time: float, height: int = 64, width: int = 96) -> np.ndarray:
    """A light bar on dark ground that moves by 4 pixels a field."""
    image = np.full((height, width, 3), 40, np.uint8)
    left = round(8 + 4 * time)
    image[:, left : left + 16] = 200
    return image


def woven(index: int, first: int) -> np.ndarray:
    """Every other line, from line `first` on, of one moment, and those between of half a frame later."""
    image = moving(2 * index + 1)
    image[first::2] = moving(2 * index)[first::2]
    return image


def make_interlaced(path: Path, *, marked: bool = True, count: int = 8, **options) -> Path:
    """What PyAV marks has the lower field first; what is not marked is taken as having the upper one first."""
    settings = {"crf": "1", **({"x264-params": "bff=1"} if marked else {})}
    return make_clip(path, [woven(k, int(marked)) for k in range(count)], rate=25, options=settings, **options)


def error(image: np.ndarray, index: int) -> float:
    return float(np.abs(image.astype(float) - moving(2 * index)).mean())


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv420p"])
def test_whole_frames_are_made_of_interlaced_ones(tmp_path, marked, pix_fmt):
    source = make_interlaced(tmp_path / "a.mkv", marked=marked, pix_fmt=pix_fmt)
    as_it_is = list(VideoReader(source).frames())
    whole = list(VideoReader(source, is_interlaced=True).frames())
    assert [frame.time for frame in whole] == [frame.time for frame in as_it_is] == [Fraction(k, 25) for k in range(8)]
    for k in range(1, 7):
        assert error(whole[k].image, k) < error(as_it_is[k].image, k) / 2
        assert whole[k].native.format.name == pix_fmt and not whole[k].native.interlaced_frame


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_each_field_becomes_a_whole_frame_at_its_time(tmp_path, marked, suffix):
    source = make_interlaced(tmp_path / f"a{suffix}", marked=marked, pix_fmt="yuv444p")
    reader = VideoReader(source, by_field=True)
    fields = list(reader.frames())
    assert (reader.rate, reader.total, reader.coded_rate) == (50, 16, 25)
    assert [frame.time for frame in fields] == [Fraction(k, 50) for k in range(16)]
    for k in range(2, 14):
        assert np.abs(fields[k].image.astype(float) - moving(k)).mean() < 4
    assert [frame.time for frame in reader.frames(start=Fraction(5, 50))] == [Fraction(k, 50) for k in range(5, 16)]
    summary = convert([source], tmp_path / "b.mp4", Average(), Options(fields=True))
    output = VideoReader(tmp_path / "b.mp4")
    assert (summary.frames, output.rate, output.duration) == (32, 100, reader.duration) and summary.damage is None


def test_of_frames_that_are_not_interlaced_none_is_doubled_beside_others_that_are(tmp_path):
    parts = [make_interlaced(tmp_path / f"{k}.ts", marked=k == 0, pix_fmt="yuv420p") for k in range(2)]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(VideoReader(tmp_path / "a.ts", by_field=True).frames())
    times = [frame.time for frame in frames]
    assert len(frames) == 24 and times == sorted(set(times)) and frames[16].is_after_gap
    assert [b - a for a, b in pairwise(times[:16])] == [Fraction(1, 50)] * 15
    assert [b - a for a, b in pairwise(times[16:])] == [Fraction(1, 25)] * 7


def test_frames_that_are_not_marked_stay_as_they_are_beside_marked_ones(tmp_path):
    parts = [make_interlaced(tmp_path / f"{k}.ts", marked=k == 0, pix_fmt="yuv420p") for k in range(2)]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    as_it_is = list(VideoReader(tmp_path / "a.ts").frames())
    whole = list(VideoReader(tmp_path / "a.ts", is_interlaced=True).frames())
    assert len(whole) == len(as_it_is) == 16 and whole[8].is_after_gap
    for k in range(8, 16):
        np.testing.assert_array_equal(whole[k].image, as_it_is[k].image)
    assert error(whole[4].image, 4) < error(as_it_is[4].image, 4) / 2


def test_it_is_said_by_default_and_not_if_asked_for(tmp_path, caplog):
    source = make_interlaced(tmp_path / "a.mkv")
    convert([source], tmp_path / "b.mp4", Average(), Options())
    assert "interlaced: moving edges show combs; --deinterlace makes whole frames of it" in caplog.text
    caplog.clear()
    summary = convert([source], tmp_path / "c.mp4", Average(), Options(deinterlace=True))
    assert not caplog.records and summary.frames == 16


def test_a_whole_video_says_nothing(tmp_path, caplog):
    list(VideoReader(make_interlaced(tmp_path / "a.mkv", marked=False)).frames())
    assert not caplog.records


def test_pictures_too_small_for_fields_stay_as_they_are(tmp_path):
    source = make_clip(tmp_path / "a.mkv", [np.full((2, 8, 3), 60 * k, np.uint8) for k in range(3)], codec="ffv1")
    frames = [list(VideoReader(source, is_interlaced=flag).frames()) for flag in (False, True)]
    for one, other in zip(*frames, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_the_flag_reaches_the_reader_and_images_refuse_it(tmp_path):
    args = interpolate.parse_args(["a.mp4", "--output", "b.mp4", "--deinterlace"])
    assert args.deinterlace and not interpolate.parse_args(["a.mp4", "--output", "b.mp4"]).deinterlace
    for k in range(2):
        Image.fromarray(moving(k)).save(tmp_path / f"{k}.png")
    assert interpolate.parse_args(["a.mp4", "--output", "b.mp4", "--fields"]).fields
    with pytest.raises(ValueError, match=r"fields is for videos, and .*0.png is an image"):
        convert([tmp_path / "0.png", tmp_path / "1.png"], tmp_path / "c.png", Average(), Options(fields=True))
    with pytest.raises(ValueError, match=r"deinterlace is for videos, and .*0.png is an image"):
        convert([tmp_path / "0.png", tmp_path / "1.png"], tmp_path / "c.png", Average(), Options(deinterlace=True))
