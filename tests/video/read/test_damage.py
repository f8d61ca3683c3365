"""Damage that can be seen is said and ends in DamagedVideo (exit status 3); what is behind it is still read."""

import itertools
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import Average, make_clip, packets, square

from video import DamagedVideo, Frame, Options, VideoReader, convert
from video.read.damage import missing_bytes

RATE = Fraction(25)
CLOUD = np.random.default_rng(0).integers(0, 216, (48, 64, 3), np.uint8)
#: Moves to the right under noise of its own: pictures refer to one another, and their packets are not small.
CLOUDS = [
    np.roll(CLOUD, k, axis=1) + np.random.default_rng(k).integers(0, 40, CLOUD.shape, np.uint8) for k in range(100)
]


def make(path: Path, codec: str, *, gop: int = 10, count: int = 100, sound: float = 0.0, **options) -> Path:
    """A video in groups of `gop` pictures."""
    settings = {} if codec == "mjpeg" else {"g": str(gop), **({"crf": "20"} if codec == "libx264" else {}), **options}
    if codec in ("mpeg4", "mpeg2video", "libx264"):
        settings["sc_threshold"] = "0" if codec == "libx264" else "1000000000"  # no groups of its own
    if codec == "libx265":
        settings = {"x265-params": f"log-level=none:keyint={gop}:min-keyint={gop}:open-gop=0:scenecut=0"}
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    sounds = [sound] if sound else []
    return make_clip(path, CLOUDS[:count], codec=codec, rate=RATE, pix_fmt=pix_fmt, options=settings, sound=sounds)


def read(path: Path) -> tuple[list[Frame], str]:
    """All frames that can be read, and what is said of the damage, "" for nothing."""
    frames = []
    try:
        for frame in VideoReader(path).frames():
            frames.append(frame)
    except DamagedVideo as damage:
        assert damage.count == len(frames)
        return frames, str(damage)
    return frames, ""


def erase(path: Path, start: int, size: int) -> Path:
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    return path


def check_rest(frames: list[Frame], whole: list[Frame], *, fewest: int) -> Frame:
    """All frames are among those of the whole file, at their times; returns the one frame after the only gap."""
    truth = {frame.time: frame.image for frame in whole}
    for frame in frames:
        np.testing.assert_array_equal(frame.image, truth[frame.time])
    assert fewest <= len(frames) < len(whole)
    (gap,) = [frame for frame in frames if frame.is_after_gap]
    return gap


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("a.avi", "mjpeg"), ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mkv", "mpeg2video"),
     ("a.mov", "mpeg4"), ("a.mkv", "libx265"), ("a.mp4", "libvpx-vp9")],
)  # fmt: skip
def test_one_damaged_spot_costs_one_group_of_pictures(tmp_path, name, codec):
    source = make(tmp_path / name, codec)
    whole, nothing = read(source)
    assert nothing == "" and len(whole) == 100
    content = source.read_bytes()
    place = content.find(packets(source, "video")[0][34])
    assert place > 0
    frames, damage = read(erase(source, place, 1070 if codec == "mjpeg" else 300))
    gap = check_rest(frames, whole, fewest=70)
    assert Fraction(30, 25) <= gap.time <= Fraction(60, 25)
    assert re.search(r"corrupt after frame \d\d of 100: .*lost, the one before is held: 1\.\d\d to", damage)


def test_pictures_that_are_looked_for_twice_are_lost_once(tmp_path):
    """The group in which reading begins cannot be decoded, so the file is read from its beginning."""
    source = make(tmp_path / "a.mp4", "libx264", gop=12, count=48)
    erase(source, source.read_bytes().find(packets(source, "video")[0][24]) + 8, 300)
    lost = re.compile(r"\d+ pictures lost")
    reader = VideoReader(source)
    with pytest.raises(DamagedVideo) as part:
        list(reader.frames(start=Fraction(26, 25)))
    assert lost.search(str(part.value)).group() == lost.search(read(source)[1]).group()


def test_where_no_group_begins_soon_pictures_come_again_after_two_seconds(tmp_path):
    source = make(tmp_path / "a.avi", "mpeg4", gop=100)
    whole, _ = read(source)
    frames, damage = read(erase(source, source.read_bytes().find(packets(source, "video")[0][20]), 200))
    gap = next(frame for frame in frames if frame.is_after_gap)
    assert gap.time == Fraction(20, 25) + 2 + Fraction(1, 25) and len(frames) == 100 - 51
    assert "the one before is held: 0.76 to 2.84 s; pictures from 2.84 s on may be disturbed" in damage
    for frame, same in zip(frames[:20], whole, strict=False):
        np.testing.assert_array_equal(frame.image, same.image)


def test_the_hole_is_held_and_the_output_is_as_long(tmp_path):
    source = make(tmp_path / "a.avi", "mpeg4", sound=2, count=50)
    erase(source, source.read_bytes().find(packets(source, "video")[0][24]), 1880)
    summary = convert([source], tmp_path / "b.mkv", Average(), Options(codec="ffv1", scene_threshold=255))
    assert "held" in summary.damage and summary.cuts == []
    frames = list(VideoReader(tmp_path / "b.mkv").frames())
    given, _ = read(source)
    (k,) = [k for k, frame in enumerate(given) if frame.is_after_gap]
    np.testing.assert_array_equal(frames[2 * k - 1].image, frames[2 * k - 2].image)  # in the hole, nothing is made
    assert abs(VideoReader(tmp_path / "b.mkv").duration - 2) <= Fraction(1, 25)
    with av.open(str(tmp_path / "b.mkv")) as container:
        ends = [p.pts * p.time_base for p in container.demux(audio=0) if p.size]
    assert max(ends) > Fraction(19, 10)


def test_packets_that_the_index_has_and_the_file_has_not_are_missed(tmp_path):
    source = make(tmp_path / "a.avi", "mpeg4", gop=50)
    whole, _ = read(source)
    content = source.read_bytes()
    first, last = (content.find(packets(source, "video")[0][k]) - 8 for k in (20, 24))
    frames, damage = read(erase(source, first, last - first))
    assert check_rest(frames, whole, fewest=60).time == 2  # where the next group begins
    assert "packets are missing or cannot be read" in damage


@pytest.mark.parametrize("change", ["erase", "remove"])
def test_a_hole_between_groups_in_matroska_is_found(tmp_path, change):
    source = make(tmp_path / "a.mkv", "libx264", bf="0")
    whole, _ = read(source)
    content = source.read_bytes()
    clusters = [found.start() for found in re.finditer(b"\x1f\x43\xb6\x75", content)]
    first, last = clusters[3:5]  # a group of pictures each
    assert missing_bytes(source) == 0
    if change == "erase":
        erase(source, first, last - first)
    else:
        source.write_bytes(content[:first] + content[last:])
        assert missing_bytes(source) == last - first
    frames, damage = read(source)
    assert check_rest(frames, whole, fewest=90).time == Fraction(40, 25)
    assert "after frame 30 of 100: a part of the file is missing or cannot be read" in damage
    assert "the one before is held: 1.16 to 1.60 s" in damage


def test_a_variable_rate_is_no_damage(tmp_path):
    times = [0, 3600, 7200, 36000, 39600, 180000]
    source = make_clip(tmp_path / "a.mkv", CLOUDS[:6], times=times, rate=RATE)
    frames, damage = read(source)
    assert damage == "" and not any(frame.is_after_gap for frame in frames)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mpeg4"), ("a.avi", "mjpeg"), ("a.wmv", "wmv2"), ("a.mkv", "mpeg4")]
)
@pytest.mark.parametrize("sound", [0, 4])
def test_a_file_that_is_shorter_than_its_header_says_is_damaged(tmp_path, name, codec, sound):
    source = make(tmp_path / name, codec, sound=sound)
    assert read(source)[1] == "" and missing_bytes(source) == 0
    with av.open(str(source)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size and packet.pos is not None]
    cut = places[60] - 8 if name != "a.wmv" else source.stat().st_size // 2  # packets are whole, if possible
    source.write_bytes(source.read_bytes()[:cut])
    assert missing_bytes(source) > 0
    frames, damage = read(source)
    assert (30 if name != "a.wmv" else 10) < len(frames) <= 61 and "truncated or corrupt after frame" in damage


def test_packets_that_the_demuxer_marks_corrupt_are_damage(tmp_path):
    source = make(tmp_path / "a.ts", "mpeg2video", sound=4)
    assert read(source)[1] == ""
    content = source.read_bytes()
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        number = stream.id
        places = [p.pos for p in container.demux(stream) if p.size and p.pos]
    blocks = [content[k : k + 188] for k in range(0, len(content), 188)]
    begin = places[44] // 188 + 1  # in the middle of a group
    lost = next(k for k in range(begin, len(blocks)) if int.from_bytes(blocks[k][1:3], "big") & 0x1FFF == number)
    source.write_bytes(b"".join(blocks[:lost] + blocks[lost + 1 :]))
    frames, damage = read(source)
    assert "packets of video marked corrupt" in damage
    assert len(frames) > 85


def cut_at_packet(source: Path, number: int) -> Path:
    """A recording that begins with a later packet of the picture."""
    with av.open(str(source)) as container:
        place = [p.pos for p in container.demux(video=0) if p.size][number]
    content = source.read_bytes()
    path = source.with_name(f"from_{number}{source.suffix}")
    path.write_bytes(content[place:])
    return path


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
@pytest.mark.parametrize("number", [1, 24])
def test_a_recording_may_begin_in_the_middle_of_a_group(tmp_path, codec, number, caplog):
    source = make(tmp_path / "a.ts", codec, gop=25, count=50)
    whole, _ = read(source)
    frames, damage = read(cut_at_packet(source, number))
    assert damage == "" and 20 <= len(frames) <= 25
    for frame, same in zip(reversed(frames), reversed(whole), strict=False):
        np.testing.assert_array_equal(frame.image, same.image)
    assert "begins in the middle of a group of pictures; the first" in caplog.text


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_pictures_before_the_first_key_picture_do_not_cost_those_after_it(tmp_path, name):
    """As in a part of a video whose groups are open, copied from a key picture on."""
    settings = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"}
    whole = make_clip(tmp_path / "whole.mp4", CLOUDS[:40], rate=RATE, pix_fmt="yuv420p", options=settings)
    with av.open(str(whole)) as source, av.open(str(tmp_path / name), "w") as part:
        copy = part.add_stream_from_template(source.streams.video[0])
        for packet in itertools.dropwhile(
            lambda packet: (packet.pts or 0) * packet.time_base < Fraction(12, 25), source.demux(video=0)
        ):
            if packet.size:
                packet.stream = copy
                part.mux(packet)
    frames, damage = read(tmp_path / name)
    for frame, same in zip(frames, read(whole)[0][12:], strict=True):
        np.testing.assert_array_equal(frame.image, same.image)
    assert "corrupt after frame 0 of" in damage and not any(frame.is_after_gap for frame in frames)


def test_such_a_recording_is_converted_without_damage(tmp_path):
    path = cut_at_packet(make(tmp_path / "a.ts", "libx265", gop=10, count=30), 4)
    summary = convert([path], tmp_path / "b.mp4", Average(), Options())
    assert summary.damage is None and 36 <= summary.frames <= 40


def test_what_cannot_be_decoded_at_all_is_refused(tmp_path):
    source = make(tmp_path / "a.ts", "libx265", gop=100)
    path = cut_at_packet(source, 50)
    frames, damage = [], ""
    try:
        frames, damage = read(path)
    except ValueError as error:
        damage = str(error)
    assert len(frames) < 2 and "truncated or corrupt" in damage


def make_repeating(path: Path) -> Path:
    """A video in which every packet that repeats a picture is empty, as encoders of Theora write it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25, width=64, height=48, pix_fmt="yuvj420p")
        for k in range(20):
            for packet in stream.encode(av.VideoFrame.from_ndarray(square(k // 4), "rgb24")):
                if k % 4:
                    time, unit = packet.pts, packet.time_base
                    packet = av.Packet(0)
                    packet.stream, packet.pts, packet.dts, packet.time_base = stream, time, time, unit
                container.mux(packet)
    return path


def test_an_empty_packet_shows_the_frame_before_again(tmp_path):
    source = make_repeating(tmp_path / "a.nut")
    frames, damage = read(source)
    assert damage == "" and [frame.time for frame in frames] == [Fraction(k, 25) for k in range(20)]
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, frames[k // 4 * 4].image)
    assert not np.array_equal(frames[0].image, frames[4].image)
    summary = convert([source], tmp_path / "b.mp4", Average(), Options())
    assert summary.damage is None and summary.frames == 40


def test_a_picture_of_a_longer_sound_is_held_and_that_is_said(tmp_path, caplog):
    source = make_clip(tmp_path / "a.mp4", CLOUDS[:25], rate=RATE, sound=[3])
    for suffix in (".mp4", ".mkv"):
        caplog.clear()
        output = convert([source], tmp_path / f"b{suffix}", Average(), Options()).output
        assert "its sound lasts 2.0 s longer than its picture; it is kept" in caplog.text
        with av.open(str(output)) as container:
            assert container.duration / 1e6 == pytest.approx(3, abs=0.03)
    convert([source], tmp_path / "c.mp4", Average(), Options(seconds=Fraction(1, 2)))
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert container.duration / 1e6 == pytest.approx(0.5, abs=0.04)
