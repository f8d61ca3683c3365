"""What an output cannot hold is named before the work; what it cannot be closed with is left out, and said."""

import errno
import random
import re
from fractions import Fraction
from pathlib import Path

import av
import pytest
from helpers.clips import SQUARES, Average, make_clip, make_plain, packets
from helpers.interrupted import Interrupted, hidden

import interpolate
import video.write.mux
from video import convert

INVALID = av.error.InvalidDataError(errno.EINVAL, "Invalid argument")


@pytest.fixture
def clip(tmp_path) -> Path:
    """24 pictures (0.96 s), sound of 1.2 s, and subtitles."""
    picture = make_clip(tmp_path / "picture.mkv", SQUARES * 4, rate=25, sound=[1.2])
    with av.open(str(picture)) as source, av.open(str(tmp_path / "clip.mkv"), "w") as target:
        copies = {stream: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        subtitles = target.add_mux_stream("subrip")
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream]
                target.mux(packet)
        packet = av.Packet(b"hello")
        packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
        packet.pts, packet.dts, packet.duration = 100, 100, 300
        target.mux(packet)
    picture.unlink()
    return tmp_path / "clip.mkv"


class Fragile:
    """An output whose closing fails if `fails` says so of the packets in it: (type, time)."""

    def __init__(self, container, fails, error):
        self.container, self.fails, self.error, self.seen = container, fails, error, []

    def __getattr__(self, name):
        return getattr(self.container, name)

    def mux(self, packet):
        self.seen.append((packet.stream.type, packet.pts * packet.time_base))
        self.container.mux(packet)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.container.close()
        if self.fails(self.seen):
            raise self.error


@pytest.fixture
def breaking(monkeypatch):
    """Makes outputs fail at closing."""

    def begin(fails, error=INVALID):
        def opened(path, mode="r", **options):
            container = usual(path, mode, **options)
            return Fragile(container, fails, error) if mode == "w" else container

        usual = video.write.mux.open_media
        monkeypatch.setattr("video.write.mux.open_media", opened)

    return begin


def late_sound(seen) -> bool:
    return any(kind == "audio" and time >= Fraction(95, 100) for kind, time in seen)


def of_kind(*kinds):
    return lambda seen: any(kind in kinds for kind, _ in seen)


@pytest.mark.parametrize(
    ("fails", "lost", "streams"),
    [
        (late_sound, r"sound and subtitles from 0\.\d+ s on", (1, 1)),
        (of_kind("subtitle"), "subtitles", (1, 0)),
        (of_kind("audio", "subtitle"), "sound and subtitles", (0, 0)),
    ],
    ids=["late", "subtitles", "all"],
)
def test_the_finished_video_is_kept_and_the_line_says_what_is_lost(clip, tmp_path, breaking, fails, lost, streams):
    breaking(fails)
    summary = convert([clip], tmp_path / "out.mkv", Average())
    assert av.open(str(tmp_path / "out.mkv")).duration > 0
    assert len(packets(tmp_path / "out.mkv", "video")[0]) == summary.frames == 48
    assert (len(packets(tmp_path / "out.mkv")), len(packets(tmp_path / "out.mkv", "subtitles"))) == streams
    assert re.fullmatch(
        rf"{lost} left out, as the output could not be closed with them .Invalid argument.", summary.damage
    )
    assert hidden(tmp_path) == []


def test_the_exit_status_is_that_of_damage(clip, tmp_path, breaking, capsys, monkeypatch):
    breaking(of_kind("subtitle"))
    monkeypatch.setattr("interpolate.network", lambda args, device: Average())
    with pytest.raises(SystemExit) as ended:
        interpolate.main(interpolate.parse_args([str(clip), "--output", str(tmp_path / "out.mkv"), "--device", "cpu"]))
    assert ended.value.code == interpolate.DAMAGED == 3
    assert "damaged: subtitles left out, as the output could not be closed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        (of_kind("video"), INVALID),
        (of_kind("audio"), av.error.OSError(errno.ENOSPC, "No space left on device")),
    ],
    ids=["picture", "disk"],
)
def test_what_is_finished_stays_if_the_picture_or_the_disk_is_the_reason(clip, tmp_path, breaking, fails, error):
    breaking(fails, error)
    with pytest.raises(OSError, match=rf"cannot write .*out.mkv: {error.strerror}"):
        convert([clip], tmp_path / "out.mkv", Average())
    assert hidden(tmp_path) == [".out.mkv.part"] and not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("out.webm", "left out: audio (aac), subtitle (srt); webm cannot hold that; .mkv holds most"),
        ("out.mp4", "left out: subtitle (srt); mp4 cannot hold that; .mkv holds most"),
    ],
)
def test_what_an_output_cannot_hold_is_named_once_and_before_the_work(clip, tmp_path, caplog, name, line):
    with pytest.raises(KeyboardInterrupt):
        convert([clip], tmp_path / name, Interrupted(0, KeyboardInterrupt()))
    assert caplog.messages == [f"{clip}: {line}"]
    caplog.clear()
    convert([clip], tmp_path / name, Average())
    assert [text for text in caplog.messages if "left out" in text] == [f"{clip}: {line}"]


def test_what_is_stored_in_another_way_is_named_once_and_before_the_work(tmp_path, caplog):
    source = make_plain(tmp_path / "a.mov", "pcm_s24le")
    with pytest.raises(KeyboardInterrupt):
        convert([source], tmp_path / "out.mp4", Interrupted(0, KeyboardInterrupt()))
    assert len(caplog.messages) == 1 and "sound (pcm_s24le) is stored as ALAC, without loss" in caplog.text
    convert([source], tmp_path / "out.mp4", Average())
    assert len(caplog.messages) == 2


def with_noise(source: Path, target: Path, spoilt) -> Path:
    """A copy whose packets of sound are noise where `spoilt` says so of their number."""
    noise = random.Random(1)
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copies = {stream: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        number = 0
        for packet in old.demux():
            if not packet.size:
                continue
            copy = packet
            if packet.stream.type == "audio":
                if spoilt(number):
                    copy = av.Packet(noise.randbytes(packet.size))
                    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
                    copy.time_base, copy.is_keyframe = packet.time_base, True
                number += 1
            copy.stream = copies[packet.stream]
            new.mux(copy)
    return target


@pytest.mark.parametrize(
    ("spoilt", "line"),
    [
        (lambda number: True, "sound left out: .mp4 takes none of the packets, which are damaged"),
        (lambda number: number < 15, r"0\.\d+ s of sound left out: .mp4 does not take damaged packets"),
        (lambda number: False, None),
    ],
    ids=["all", "beginning", "none"],
)
def test_sound_that_the_muxer_drops_without_an_error_is_said(tmp_path, spoilt, line):
    picture = make_clip(tmp_path / "picture.mkv", SQUARES * 4, rate=25, sound=[1.2], sound_codec="eac3")
    clip = with_noise(picture, tmp_path / "clip.mkv", spoilt)
    summary = convert([clip], tmp_path / "out.mp4", Average())
    assert re.fullmatch(line, summary.damage) if line else summary.damage is None
    assert summary.frames == 48 and convert([clip], tmp_path / "out.mkv", Average()).damage is None
