"""Video files: what comes in goes out again, in time, in colour, with its sound, and complete or not at all."""

import errno
import resource
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import RATE, SQUARES, convert, encode_tone, make_clip, packets, read, square

from video import Frame, VideoReader, folder_writer, video_writer
from video.clock import Clock


def test_moving_square_is_decoded_in_place_and_in_time(tmp_path):
    frames = read(make_clip(tmp_path / "a.mp4", SQUARES))
    assert [frame.time for frame in frames] == [k / RATE for k in range(6)]
    for frame, image in zip(frames, SQUARES, strict=True):
        assert np.abs(frame.image.astype(int) - image).max() <= 6


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("multiplier", [2, 4])
def test_output_lasts_as_long_as_the_source_at_multiplied_rate(tmp_path, suffix, multiplier):
    source = make_clip(tmp_path / "a.mp4", SQUARES)
    reader = VideoReader(convert(source, tmp_path / f"b{suffix}", multiplier))
    frames = list(reader.frames())
    assert len(frames) == 6 * multiplier
    unit = Fraction(1, 1000) if suffix in (".mkv", ".webm") else 0  # these round times to milliseconds
    for k, frame in enumerate(frames):
        assert abs(frame.time - k / (RATE * multiplier)) <= unit
    assert abs(reader.rate - RATE * multiplier) < Fraction(1, 50)
    assert np.abs(frames[-1].image.astype(int) - SQUARES[-1]).max() < 60  # held, not extrapolated


def test_source_frames_survive_a_lossy_video_and_middles_are_means(tmp_path):
    frames = read(convert(make_clip(tmp_path / "a.mp4", SQUARES), tmp_path / "b.mp4"))
    for k, frame in enumerate(frames[:11]):
        expected = (SQUARES[k // 2].astype(float) + SQUARES[(k + 1) // 2]) / 2
        assert np.abs(frame.image - expected).mean() < 2


def test_times_of_a_variable_rate_source_are_kept(tmp_path):
    times = [0, 3003, 9009, 12012, 30030, 33033]  # at 90 kHz
    source = make_clip(tmp_path / "a.mp4", SQUARES, times=times, rate=Fraction(30000, 1001))
    frames = read(convert(source, tmp_path / "b.mp4"))
    assert [round(frame.time * 90000) for frame in frames[:11:2]] == pytest.approx(times, abs=9)
    assert round(frames[7].time * 90000) == pytest.approx((12012 + 30030) / 2, abs=9)


def test_times_that_a_file_rounds_to_milliseconds_are_exact_again(tmp_path):
    frames = read(make_clip(tmp_path / "a.mkv", SQUARES))
    assert [frame.time for frame in frames] == [k / RATE for k in range(6)]


def test_times_that_are_missing_or_do_not_increase_advance_by_one_period(caplog):
    clock = Clock(Fraction(25), Fraction(1, 12800), "a.avi")
    given = [Fraction(1, 25), None, Fraction(1, 25), None, Fraction(3, 25), Fraction(9, 25)]
    assert [clock.tick(time) * 25 for time in given] == [1, 2, 3, 4, 5, 9]
    assert len(caplog.records) == 1 and "do not increase" in caplog.text


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 8), (5, 3), (17, 34), (16, 2)])
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_any_size_keeps_its_size(tmp_path, height, width, suffix):
    images = [np.full((height, width, 3), value, np.uint8) for value in (40, 90)]
    with video_writer(tmp_path / f"a{suffix}", rate=RATE) as writer:
        for k, image in enumerate(images):
            writer.write(Frame(image, k / RATE, ""))
    for frame, image in zip(read(tmp_path / f"a{suffix}"), images, strict=True):
        assert frame.image.shape == image.shape
        assert np.abs(frame.image.astype(int) - image).max() <= 4


def test_packets_of_every_sound_stream_are_copied_byte_for_byte(tmp_path):
    source = make_clip(tmp_path / "a.mp4", SQUARES, sound=[0.25, 0.2])
    copies = packets(convert(source, tmp_path / "b.mkv"))
    assert copies == packets(source)
    assert len(copies) == 2 and all(len(stream) >= 10 for stream in copies)


def test_sound_stays_in_time_when_the_source_starts_late(tmp_path):
    source = make_clip(tmp_path / "a.ts", SQUARES, times=[90000 + 3600 * k for k in range(6)], sound=[1.2], rate=25)
    with av.open(str(source)) as container:
        late = container.streams.video[0].start_time / 90000 - container.start_time / 1e6
    with av.open(str(convert(source, tmp_path / "b.mkv"))) as container:
        first = next(container.demux(video=0))
        assert float(first.pts * first.time_base) == pytest.approx(late, abs=2e-3)
        assert late > 0.9


def test_a_container_that_cannot_hold_the_sound_says_so_and_drops_it(tmp_path, caplog):
    source = make_clip(tmp_path / "a.mp4", SQUARES, sound=[0.2])
    assert packets(convert(source, tmp_path / "b.webm")) == []
    assert "webm cannot hold aac sound" in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pix_fmt": "rgba", "codec": "png", "suffix": ".mov"}, "alpha channel, dropped"),
    ],
)
def test_what_is_lost_is_said(tmp_path, caplog, options, words):
    path = tmp_path / f"a{options.get('suffix', '.mp4')}"
    assert len(read(make_clip(path, SQUARES, **options))) == 6
    assert words in caplog.text


def test_seconds_stop_picture_and_sound(tmp_path):
    source = make_clip(tmp_path / "a.mp4", SQUARES * 5, sound=[1.25], rate=25)
    heard = []
    reader = VideoReader(source, seconds=Fraction(2, 5))
    frames = list(reader.frames(lambda packet: heard.append(packet.pts * packet.time_base)))
    assert len(frames) == reader.total == 10
    assert max(heard) < Fraction(2, 5)


# What is broken


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no video at .*a.mp4"):
        VideoReader(tmp_path / "a.mp4")


@pytest.mark.parametrize("content", [b"", b"just some words\n" * 50])
def test_a_file_that_is_no_video_is_named(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.mp4 is not a video, or is truncated or corrupt"):
        VideoReader(tmp_path / "a.mp4")


def test_a_file_with_sound_only_is_named(tmp_path):
    with av.open(str(tmp_path / "a.m4a"), "w") as container:
        encode_tone(container, container.add_stream("aac", rate=48000), seconds=0.1)
    with pytest.raises(ValueError, match="holds no video stream"):
        VideoReader(tmp_path / "a.m4a")


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(("suffix", "words"), [(".mp4", "is not a video, or"), (".mkv", ""), ("fast.mp4", "")])
def test_a_cut_file_is_an_error_and_leaves_nothing(tmp_path, suffix, words, kept):
    noise = [np.random.default_rng(k).integers(0, 256, (48, 64, 3), np.uint8) for k in range(60)]
    source = make_clip(tmp_path / f"a{suffix}", noise, fast_start=suffix == "fast.mp4")
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=f"{words}.*truncated"):
        convert(source, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_damage_inside_a_file_is_an_error_not_a_patched_up_frame(tmp_path):
    source = make_clip(tmp_path / "a.mp4", [square(k, 96, 128) + np.uint8(k) for k in range(20)])
    content = bytearray(source.read_bytes())
    sizes = [len(packet) for packet in packets(source, "video")[0]]
    start = content.find(b"mdat") + 4 + sum(sizes[:10]) + 8  # in the eleventh packet
    content[start : start + 40] = b"\xff" * 40
    source.write_bytes(content)
    with pytest.raises(ValueError, match=r"a.mp4 is (truncated or corrupt|damaged).*frame"):
        read(source)


def test_a_last_frame_that_is_cut_is_an_error_even_where_no_length_is_declared(tmp_path):
    noise = [np.random.default_rng(k).integers(0, 256, (48, 64, 3), np.uint8) for k in range(30)]
    source = make_clip(tmp_path / "a.ts", noise)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a.ts is (damaged: frame|truncated or corrupt after frame) 1\d"):
        read(source)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_a_failure_leaves_no_file_and_keeps_the_old_one(tmp_path, failure, name):
    writer_of = {"out.mp4": lambda path: video_writer(path, rate=RATE), "out": folder_writer}[name]
    if name == "out.mp4":
        (tmp_path / name).write_bytes(b"old")
    with pytest.raises(type(failure)), writer_of(tmp_path / name) as writer:
        for k, image in enumerate(SQUARES):
            writer.write(Frame(image, k / RATE, ""))
        raise failure
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([b"old"] if name == "out.mp4" else [])


@pytest.mark.parametrize(
    ("opening", "words"),
    [
        (lambda path: video_writer(path, rate=RATE), "cannot write .*out.mp4: File too large"),
        (folder_writer, "cannot write 000000.png of the frames: File too large"),
    ],
)
def test_a_full_disk_is_an_error_that_says_where(tmp_path, opening, words):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # fails as a full disk does, for each file
        with pytest.raises(OSError, match=words), opening(tmp_path / "out.mp4") as writer:
            for k, image in enumerate(noise):
                writer.write(Frame(image, k / RATE, ""))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
