"""A part of the input is the input cut there, and a loop has no seam."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import Average, encode_tone, make_clip, read, square
from helpers.interrupted import Interrupted
from helpers.pipes import standard_input
from PIL import Image

from video import Options, VideoReader, convert, moment
from video.read.images import ImageReader, list_frames

RATE = 25
COUNT = 30


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """The same pictures as a video in three containers, with key frames each 8, and as images."""
    folder = tmp_path_factory.mktemp("clips")
    images = [square(k % 12) for k in range(COUNT)]
    for name in ("clip.mp4", "clip.mkv", "clip.avi"):
        codec = {"codec": "ffv1", "pix_fmt": "bgr0", "options": {}} if name == "clip.avi" else {"options": {"g": "8"}}
        make_clip(folder / name, images, rate=RATE, **codec)
    (folder / "frames").mkdir()
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"frames/{k}.png")
    return folder


def images_of(path: Path) -> list[np.ndarray]:
    return [frame.image for frame in ImageReader(list_frames(path)).frames()]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "frames"])
@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ({"start": Fraction(10, RATE)}, 10, COUNT),
        ({"start": Fraction(101, 250), "end": Fraction(20, RATE)}, 11, 20),
        ({"start": Fraction(11, RATE), "seconds": Fraction(9, RATE)}, 11, 20),
        ({"end": Fraction(201, 10 * RATE)}, 0, 21),
    ],
)
def test_a_range_holds_exactly_its_frames(clips, tmp_path, name, given, first, last):
    rate = {"input_fps": Fraction(RATE)} if name == "frames" else {}
    summary = convert([clips / name], tmp_path / "out", Average(), Options(**given, **rate))
    source = images_of(clips / name) if name == "frames" else [frame.image for frame in read(clips / name)]
    made = images_of(tmp_path / "out")
    assert summary.frames == len(made) == 2 * (last - first)
    for k in range(last - first):
        np.testing.assert_array_equal(made[2 * k], source[first + k])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_range_may_begin_where_pictures_refer_to_the_group_before(tmp_path, name):
    settings = {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"}
    source = make_clip(tmp_path / name, [square(k % 12) for k in range(40)], rate=RATE, options=settings)
    reader, whole = VideoReader(source), read(source)
    for first in (12, 17, 24, 30):
        part = list(reader.frames(start=whole[first].time))
        assert reader.damage is None and [frame.time for frame in part] == [frame.time for frame in whole[first:]]
        np.testing.assert_array_equal(part[0].image, whole[first].image)


def test_a_range_begins_at_time_zero(clips, tmp_path):
    convert([clips / "clip.mkv"], tmp_path / "out.mkv", Average(), Options(start=Fraction(10, RATE), codec="ffv1"))
    times = [frame.time for frame in read(tmp_path / "out.mkv")]
    assert times == [Fraction(k, 2 * RATE) for k in range(40)]


def test_a_range_of_a_pipe_is_that_of_the_file(clips, tmp_path):
    given = Options(start=Fraction(10, RATE), end=Fraction(14, RATE), codec="ffv1")
    convert([clips / "clip.mkv"], tmp_path / "file.mkv", Average(), given)
    with standard_input((clips / "clip.mkv").read_bytes()):
        convert(["-"], tmp_path / "pipe.mkv", Average(), given)
    assert (tmp_path / "pipe.mkv").read_bytes() == (tmp_path / "file.mkv").read_bytes()


def test_a_rate_counts_from_the_first_frame_of_the_range(clips, tmp_path):
    given = Options(start=Fraction(10, RATE), seconds=Fraction(10, RATE), fps=30, codec="ffv1")
    convert([clips / "clip.mkv"], tmp_path / "out.mkv", Average(), given)
    frames = read(tmp_path / "out.mkv")
    assert len(frames) == 12 and all(abs(f.time - Fraction(k, 30)) <= Fraction(1, 1000) for k, f in enumerate(frames))


@pytest.fixture(scope="module")
def sounding(tmp_path_factory) -> Path:
    """2 s with sound, subtitles at 0.2, 0.9 and 1.4 s, each for 0.3 s, and chapters of 0.5 s."""
    folder = tmp_path_factory.mktemp("sounding")
    picture = make_clip(folder / "picture.mkv", [square(k % 12) for k in range(50)], rate=RATE)
    with av.open(str(picture)) as source, av.open(str(folder / "clip.mkv"), "w") as container:
        video = container.add_stream_from_template(source.streams.video[0], opaque=True)
        sound, subtitles = container.add_stream("aac", rate=48000), container.add_mux_stream("subrip")
        unit = Fraction(1, 1000)
        chapters = ({"id": k, "start": 500 * k, "end": 500 * (k + 1), "metadata": {"title": str(k)}} for k in range(4))
        container.set_chapters([{**chapter, "time_base": unit} for chapter in chapters])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        encode_tone(container, sound, 2.0)
        for start in (200, 900, 1400):
            packet = av.Packet(str(start).encode())
            packet.stream, packet.time_base, packet.duration = subtitles, unit, 300
            packet.pts = packet.dts = start
            container.mux(packet)
    return folder / "clip.mkv"


def timed(path: Path, kind: str) -> dict[bytes, tuple[float, float]]:
    """When each packet of the streams of a kind begins and ends, by its content, in seconds."""
    with av.open(str(path)) as container:
        found = [packet for packet in container.demux() if packet.stream.type == kind and packet.size]
        return {bytes(p): (float(p.pts * p.time_base), float((p.pts + (p.duration or 0)) * p.time_base)) for p in found}


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_sound_is_cut_to_the_range_and_stays_beside_its_pictures(sounding, tmp_path, name):
    convert([sounding], tmp_path / name, Average(), Options(start=Fraction(1), end=Fraction(8, 5)))
    source, cut = timed(sounding, "audio"), timed(tmp_path / name, "audio")
    inside = {data for data, (begin, end) in source.items() if begin > 1.001 and end < 1.599}
    around = {data for data, (begin, end) in source.items() if end > 1 - 0.022 and begin < 1.6}
    assert inside <= cut.keys() <= around and len(inside) > 25
    for data, (begin, _) in cut.items():
        assert begin == pytest.approx(source[data][0] - 1, abs=0.002)


def test_subtitles_and_chapters_are_cut_at_both_ends(sounding, tmp_path):
    convert([sounding], tmp_path / "out.mkv", Average(), Options(start=Fraction(1), end=Fraction(8, 5)))
    shown = timed(tmp_path / "out.mkv", "subtitle")
    assert shown == {b"900": pytest.approx((0, 0.2), abs=0.001), b"1400": pytest.approx((0.4, 0.6), abs=0.001)}
    with av.open(str(tmp_path / "out.mkv")) as container:
        chapters = [(c["metadata"]["title"], float(c["end"] * c["time_base"])) for c in container.chapters()]
    assert chapters == [("2", 0.5), ("3", 0.6)]


def test_a_range_is_resumed_to_the_same_bytes(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("video.schedule.timeline.SEGMENT", 4)
    given = Options(start=Fraction(10, RATE), end=Fraction(22, RATE))
    convert([clips / "clip.mp4"], tmp_path / "whole.mp4", Average(), given)
    with pytest.raises(KeyboardInterrupt):
        convert([clips / "clip.mp4"], tmp_path / "out.mp4", Interrupted(7, KeyboardInterrupt()), given)
    with pytest.raises(ValueError, match=r"--start was 2/5, is None"):
        convert([clips / "clip.mp4"], tmp_path / "out.mp4", Average(), Options(end=given.end), resume=True)
    convert([clips / "clip.mp4"], tmp_path / "out.mp4", Average(), given, resume=True)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def loop(folder: Path, images: list[np.ndarray], **options) -> list[np.ndarray]:
    """Frames of the loop of images."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "in").mkdir(parents=True)
    for k, image in enumerate(images):
        Image.fromarray(image).save(folder / f"in/{k}.png")
    convert([folder / "in"], folder / "out", Average(), Options(loop=True, scene_threshold=255, **options))
    return images_of(folder / "out")


@pytest.mark.parametrize("options", [{}, {"multiplier": 3}, {"multiplier": Fraction(5, 2)}, {"slow": 2}])
def test_a_loop_has_no_beginning(tmp_path, options):
    """Turned around by some frames, its input gives the output turned around."""
    images = [square(k) for k in (0, 2, 5, 9, 6, 1)]
    whole = loop(tmp_path / "a", images, **options)
    turned = loop(tmp_path / "b", images[2:] + images[:2], **options)
    shift = len(whole) * 2 // 6
    assert len(whole) == len(turned) == 6 * (options.get("multiplier") or 2)
    np.testing.assert_array_equal(np.stack(turned), np.stack(whole[shift:] + whole[:shift]))


def test_the_last_frames_of_a_loop_lie_between_the_last_and_the_first(tmp_path):
    first, last = np.full((8, 8, 3), 40, np.uint8), np.full((8, 8, 3), 80, np.uint8)
    made = loop(tmp_path, [first, last, first, last], multiplier=4)
    assert [int(image[0, 0, 0]) for image in made[12:]] == [80, 70, 60, 50]


def test_a_looped_video_lasts_as_long_as_the_input(clips, tmp_path):
    convert([clips / "clip.mp4"], tmp_path / "out.mp4", Average(), Options(loop=True))
    ours, theirs = VideoReader(tmp_path / "out.mp4"), VideoReader(clips / "clip.mp4")
    assert len(list(ours.frames())) == 2 * COUNT and ours.duration == theirs.duration


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_sound_stays_beside_the_pictures_of_a_loop_that_begin_after_it(tmp_path, name):
    times = [36000 + 3600 * k for k in range(15)]  # from 0.4 to 1 s
    clip = make_clip(tmp_path / "clip.mkv", [square(k % 12) for k in range(15)], rate=RATE, times=times, sound=[1.0])
    convert([clip], tmp_path / name, Average(), Options(loop=True))
    source, looped = timed(clip, "audio"), timed(tmp_path / name, "audio")
    assert read(tmp_path / name)[0].time == 0 and len(looped) > 20
    for data, (begin, _) in looped.items():
        assert begin == pytest.approx(source[data][0] - 0.4, abs=0.002)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": Fraction(-1)}, "start must be at least 0, got -1"),
        ({"end": Fraction(0)}, "end must be after the start, got 0"),
        ({"start": Fraction(2), "end": Fraction(1)}, "end must be after the start, got 1"),
        ({"seconds": Fraction(1), "end": Fraction(1)}, "give --seconds or --end, not both"),
        ({"start": Fraction(2)}, r"there is no frame from 2.000 s on; the input lasts 1.200 s"),
        ({"start": Fraction(29, RATE)}, "is the only frame; at least two are needed"),
    ],
)
def test_a_range_without_two_frames_is_an_error(clips, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        convert([clips / "clip.mp4"], tmp_path / "out.mp4", Average(), Options(**options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1:30", 90), ("0:01:30.5", Fraction(181, 2)), ("23.976", Fraction("23.976"))]
)
def test_a_moment_is_seconds_or_hours_minutes_and_seconds(text, seconds):
    assert moment(text) == seconds


@pytest.mark.parametrize("text", ["", "1:2:3:4", "1:-2", "-1:2", "a:1", "1/2", "1:x"])
def test_what_is_no_moment_is_an_error(text):
    with pytest.raises(ValueError, match=r"."):
        moment(text)
