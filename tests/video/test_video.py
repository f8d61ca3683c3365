"""Video files in: every frame, in time, from any point on, up to where the file is damaged."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import RATE, SQUARES, convert, encode_tone, make_clip, packets, read, square, write

from video import Options
from video.read.reader import DamagedVideo, VideoReader
from video.read.times import Clock


def test_moving_square_is_decoded_in_place_and_in_time(tmp_path):
    frames = read(make_clip(tmp_path / "a.mp4", SQUARES))
    assert [frame.time for frame in frames] == [k / RATE for k in range(6)]
    for frame, image in zip(frames, SQUARES, strict=True):
        assert np.abs(frame.image.astype(int) - image).max() <= 6


def test_times_that_a_file_rounds_to_milliseconds_are_exact_again(tmp_path):
    frames = read(make_clip(tmp_path / "a.mkv", SQUARES))
    assert [frame.time for frame in frames] == [k / RATE for k in range(6)]


def test_times_that_are_missing_or_do_not_increase_advance_by_one_period(caplog):
    clock = Clock(Fraction(25), Fraction(1, 12800), "a.avi")
    given = [Fraction(1, 25), None, Fraction(1, 25), None, Fraction(3, 25), Fraction(9, 25)]
    assert [clock.tick(time) * 25 for time in given] == [1, 2, 3, 4, 5, 9]
    assert len(caplog.records) == 1 and "do not increase" in caplog.text


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "60000/1001", "24", "25", "12.5", "120000/1001", "1/3"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_rate_is_read_exactly_from_a_file_that_rounds_it(tmp_path, rate, suffix):
    rate = Fraction(rate)
    write(tmp_path / f"a{suffix}", [square(k) for k in range(12)], rate=rate, times=[k / rate for k in range(12)])
    reader = VideoReader(tmp_path / f"a{suffix}")
    assert (reader.rate, reader.duration, reader.total) == (rate, 12 / rate, 12)
    assert [frame.time for frame in reader.frames()] == [k / rate for k in range(12)]


def test_a_frame_hours_away_is_a_damaged_time(caplog):
    clock = Clock(Fraction(25), Fraction(1, 12800), "a.avi")
    given = [Fraction(0), Fraction(9999), Fraction(2, 25), Fraction(2, 25) + 600]
    assert [clock.tick(time) * 25 for time in given] == [0, 1, 2, 15002]
    assert len(caplog.records) == 1
    assert Clock(Fraction(25), Fraction(1, 12800), "a.avi").tick(Fraction(9999)) == 0


@pytest.mark.parametrize(("suffix", "rate"), [(".mp4", RATE), (".mkv", RATE), (".ts", Fraction(25)), (".avi", RATE)])
def test_reading_may_start_at_any_frame_and_gives_the_same_frames(tmp_path, suffix, rate):
    noise = [np.random.default_rng(k).integers(0, 256, (16, 32, 3), np.uint8) for k in range(20)]
    source = make_clip(tmp_path / f"a{suffix}", noise, rate=rate, options={"crf": "20", "g": "8"})
    reader = VideoReader(source)
    frames = list(reader.frames())
    for first in (0, 7, 8, 19):
        part = list(reader.frames(start=frames[first].time))
        assert [frame.time for frame in part] == [frame.time for frame in frames[first:]]
        for frame, same in zip(part, frames[first:], strict=True):
            np.testing.assert_array_equal(frame.image, same.image)
    assert list(reader.frames(start=frames[-1].time + 1)) == []
    between = (frames[10].time + frames[11].time) / 2
    assert next(reader.frames(start=between)).time == frames[11].time


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [(".mov", "png", "rgba"), (".mkv", "ffv1", "yuva420p"), (".mov", "prores_ks", "yuva444p10le")],
)
def test_alpha_is_dropped_and_said(tmp_path, caplog, suffix, codec, pix_fmt):
    assert len(read(make_clip(tmp_path / f"a{suffix}", SQUARES, pix_fmt=pix_fmt, codec=codec))) == 6
    assert "alpha channel, dropped" in caplog.text


@pytest.mark.parametrize("name", ["out.webm", "out.mkv"])
def test_alpha_of_vp9_is_told_and_the_output_does_not_claim_it(tmp_path, caplog, name):
    """Its decoder leaves alpha out; only a tag tells."""
    with av.open(str(tmp_path / "a.webm"), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=25, width=64, height=48, pix_fmt="yuva420p")
        for index, image in enumerate(SQUARES):
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuva420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    convert(tmp_path / "a.webm", tmp_path / name)
    assert "a.webm: alpha channel, dropped" in caplog.text
    with av.open(str(tmp_path / name)) as container:
        assert "alpha_mode" not in {key.lower() for key in container.streams.video[0].metadata}


def test_only_the_first_of_several_pictures_is_read_and_that_is_said(tmp_path, caplog):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=25) for _ in range(2)]
        for stream in streams:
            stream.height, stream.width = 16, 16
        for shade, stream in zip((50, 200), streams, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), shade, np.uint8), "rgb24")
            container.mux([*stream.encode(frame), *stream.encode()])
    (frame,) = read(tmp_path / "a.mkv")
    assert abs(int(frame.image.mean()) - 50) <= 1 and "only the first video stream" in caplog.text


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p10le"])
def test_ten_bits_come_as_sixteen(tmp_path, pix_fmt):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    image = np.repeat(np.tile(ramp, (48, 1))[..., None], 3, 2)
    reader = VideoReader(make_clip(tmp_path / "a.mkv", [image, image], pix_fmt=pix_fmt, codec="ffv1", colour=(1, 1)))
    frames = list(reader.frames())
    assert reader.bits == 10 and frames[0].image.dtype == np.uint16
    assert np.abs(frames[0].image.astype(int) - image).max() <= 65535 / 876  # one of the codes between 64 and 940
    assert len(np.unique(frames[0].image)) == 64


def test_seconds_stop_the_picture(tmp_path):
    source = make_clip(tmp_path / "a.mp4", SQUARES * 5, sound=[1.25], rate=25)
    part = Options(seconds=Fraction(2, 5)).source(VideoReader(source))
    frames = list(part.frames())
    assert len(frames) == part.total == 10 and part.until(frames[-1].time, Fraction(1, 25)) == Fraction(2, 5)


# What is broken


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no video at .*a.mp4"):
        VideoReader(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", " but an empty file"),
        (b"just some words\n" * 50, ' but text: "just some words just'),
        (bytes(range(256)) * 9, ", or is truncated or corrupt"),
    ],
)
def test_a_file_that_is_no_video_is_named(tmp_path, content, words):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a.mp4 is not a video{words}"):
        VideoReader(tmp_path / "a.mp4")


def test_a_file_with_sound_only_is_named(tmp_path):
    with av.open(str(tmp_path / "a.m4a"), "w") as container:
        encode_tone(container, container.add_stream("aac", rate=48000), seconds=0.1)
    with pytest.raises(ValueError, match="holds no video stream"):
        VideoReader(tmp_path / "a.m4a")


def make_noise(path: Path, count: int = 40, **options) -> Path:
    noise = [np.random.default_rng(k).integers(0, 256, (32, 48, 3), np.uint8) for k in range(count)]
    return make_clip(path, noise, **options)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("suffix", [".mkv", "fast.mp4"])
def test_a_cut_file_gives_its_readable_frames_and_then_says_where_it_ends(tmp_path, suffix, kept):
    source = make_noise(tmp_path / f"a{suffix}", fast_start=suffix == "fast.mp4")
    whole = read(source)
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * kept)])
    frames = []
    with pytest.raises(DamagedVideo, match=r"truncated or corrupt after frame \d+ of 40: ") as damage:
        for frame in VideoReader(source).frames():
            frames.append(frame)
    assert 40 * kept - 8 <= len(frames) <= 40 * kept + 1
    assert damage.value.count == len(frames) and damage.value.time == frames[-1].time
    for frame, same in zip(frames[:-3], whole, strict=False):  # the last ones may have lost what they refer to
        np.testing.assert_array_equal(frame.image, same.image)


def test_a_cut_file_without_its_index_is_an_error(tmp_path):
    source = make_noise(tmp_path / "a.mp4")
    source.write_bytes(source.read_bytes()[:-500])
    with pytest.raises(ValueError, match=r"a.mp4 is not a video, or is truncated or corrupt"):
        VideoReader(source)


def test_a_picture_that_changes_its_size_is_damage(tmp_path):
    parts = [make_clip(tmp_path / f"{k}.ts", SQUARES if k == 0 else [square(0, 96, 64)] * 6) for k in range(2)]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(DamagedVideo, match="the next one is 64x96, those before were 64x48") as damage:
        read(tmp_path / "a.ts")
    assert damage.value.count == 6


def test_damage_inside_a_file_is_an_error_not_a_patched_up_frame(tmp_path):
    source = make_clip(tmp_path / "a.mp4", [square(k, 96, 128) + np.uint8(k) for k in range(20)])
    content = bytearray(source.read_bytes())
    sizes = [len(packet) for packet in packets(source, "video")[0]]
    start = content.find(b"mdat") + 4 + sum(sizes[:10]) + 8  # in the eleventh packet
    content[start : start + 40] = b"\xff" * 40
    source.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.mp4 is truncated or corrupt after frame"):
        read(source)


def test_a_last_frame_that_is_cut_is_an_error_even_where_no_length_is_declared(tmp_path):
    noise = [np.random.default_rng(k).integers(0, 256, (48, 64, 3), np.uint8) for k in range(30)]
    source = make_clip(tmp_path / "a.ts", noise)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a.ts is truncated or corrupt after frame 1\d"):
        read(source)
