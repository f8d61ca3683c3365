"""Clocks that jump: picture, sound and subtitles go on together, and copied packets keep their times."""

import itertools
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from helpers.clips import Average, make_clip, packets, read, square

from video import Options, convert
from video.read.times import Continuity

RATE = Fraction(25)


def make_recording(path: Path, *, first: int = 0, count: int = 25, sound: float = 1.0) -> Path:
    """A transport stream whose clock begins at `first` seconds."""
    whole = make_clip(path.with_suffix(".mp4"), [square(k % 10) for k in range(count)], rate=RATE, sound=[sound])
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        copies = {s.index: container.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                shift = round(first / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = copies[packet.stream.index]
                container.mux(packet)
    return path


def put_together(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def times(path: Path) -> dict[str, list[Fraction]]:
    """When every packet is shown, by kind of stream."""
    found: dict[str, list[Fraction]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                found.setdefault(packet.stream.type, []).append(packet.pts * packet.time_base)
    return {kind: sorted(values) for kind, values in found.items()}


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> dict[int, Path]:
    """Recordings of one second by the moment at which their clocks begin."""
    folder = tmp_path_factory.mktemp("parts")
    return {first: make_recording(folder / f"{first}.ts", first=first) for first in (0, 50, 700)}


@pytest.mark.parametrize("order", [(0, 0), (0, 50), (50, 0), (0, 700, 0), (0, 0, 0, 50)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_recordings_behind_one_another_play_on(tmp_path, parts, order, suffix, caplog):
    source = put_together(tmp_path / "a.ts", *(parts[first] for first in order))
    frames = read(source)
    steps = [after.time - before.time for before, after in itertools.pairwise(frames)]
    assert len(frames) == 25 * len(order)
    assert all(step == 1 / RATE or frame.is_after_gap for step, frame in zip(steps, frames[1:], strict=True))
    assert f"its clock jumps ({len(order) - 1} times)" in caplog.text
    joints = [k for k, frame in enumerate(frames) if frame.is_after_gap]
    assert joints == [25 * k for k in range(1, len(order))]  # nothing is made between two recordings
    assert all((steps[k - 1] * RATE).denominator == 1 and steps[k - 1] < Fraction(1, 5) for k in joints)

    output = convert([source], tmp_path / f"b{suffix}", Average(), Options()).output
    one, whole = times(parts[0]), times(output)
    assert len(whole["video"]) == 2 * len(frames)
    assert len(whole["audio"]) == len(packets(source)[0])
    lag = [one["audio"][k] - one["video"][0] for k in range(len(one["audio"]))]
    per = len(one["audio"])
    for part, joint in enumerate([0, *joints]):  # the sound of every part is where its picture is
        begin = whole["video"][2 * joint]
        for given, copied in zip(lag, whole["audio"][part * per : (part + 1) * per], strict=True):
            assert abs(copied - begin - given) <= Fraction(1, 900)
    assert max(whole["audio"]) - max(whole["video"]) < Fraction(1, 10)


def test_segments_of_one_recording_are_whole(tmp_path, caplog):
    """As those of a stream that was cut for the web: their packets count from 0 again, but not their clock."""
    source = put_together(tmp_path / "a.ts", *(make_recording(tmp_path / f"{k}.ts", first=k) for k in (1, 2)))
    frames = read(source)  # no DamagedVideo, though the demuxer marks a packet corrupt
    with av.open(str(source)) as container:
        assert any(packet.is_corrupt for packet in container.demux(video=0))
    assert [after.time - before.time for before, after in itertools.pairwise(frames)] == [1 / RATE] * 49
    assert not any(frame.is_after_gap for frame in frames) and not caplog.records


def test_a_file_without_jumps_is_left_as_it_is(tmp_path, parts):
    def find(repair: bool) -> list[tuple]:
        with av.open(str(parts[0])) as container:
            video = container.streams.video[0]
            found = Continuity(container, video, RATE) if repair else container.demux()
            return [(p.stream_index, p.pts, p.dts, p.size) for p in found]

    assert find(True) == find(False)


@pytest.mark.parametrize("hold", [20, 620])
def test_a_still_picture_is_no_jump_while_the_sound_goes_on(tmp_path, hold):
    source = tmp_path / "a.ts"
    with av.open(str(source), "w") as container:
        video = container.add_stream("mpeg2video", rate=25, width=64, height=48, pix_fmt="yuv420p")
        sound = container.add_stream("mp2", rate=16000, layout="mono")
        frame = av.VideoFrame.from_ndarray(square(0), "rgb24")
        pictures = [*video.encode(frame), *video.encode(frame), *video.encode()]
        for k, packet in enumerate(pictures):
            packet.time_base, packet.pts, packet.dts = Fraction(1, 90000), 90000 * hold * k, 90000 * hold * k
        for k in range(round((hold + 1) * 16000 / 1152)):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts = 16000, 1152 * k
            for packet in sound.encode(samples):
                container.mux(packet)
            if pictures and 1152 * k / 16000 >= (0 if len(pictures) == 2 else hold):
                container.mux(pictures.pop(0))
    with av.open(str(source)) as container:
        repaired = Continuity(container, container.streams.video[0], RATE)
        shown = [p.pts * p.time_base for p in repaired if p.size and p.stream.type == "video"]
    assert repaired.joints == [] and shown[-1] - shown[0] == hold


def make_short_packets(path: Path, *, unit: Fraction, count: int = 600) -> Path:
    """Sound in packets of 40 samples at 48 kHz: six of them begin within five milliseconds."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25, width=64, height=48, pix_fmt="yuv420p")
        sound = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        for k in range(13):
            container.mux(video.encode(av.VideoFrame.from_ndarray(square(k % 10), "rgb24")))
        container.mux(video.encode())
        for k in range(count):
            packet = av.Packet(bytes([k % 256] * 80))
            packet.stream, packet.time_base = sound, unit
            packet.pts = packet.dts = round(k * Fraction(40, 48000) / unit)
            packet.duration = round(Fraction(40, 48000) / unit)
            container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_packets_shorter_than_the_clock_do_not_drift(tmp_path, suffix):
    source = make_short_packets(tmp_path / "a.mkv", unit=Fraction(1, 1000))
    given = times(source)["audio"]
    assert len(set(given)) < len(given)  # some times are equal
    output = convert([source], tmp_path / f"b{suffix}", Average(), Options()).output
    copied = times(output)["audio"]
    if suffix == ".mkv":
        assert copied == given
    else:  # times must increase there, by a sample at least; packets are put together
        assert max(copied) == pytest.approx(float(max(given)), abs=0.03)
    assert b"".join(packets(output)[0]) == b"".join(packets(source)[0])


@pytest.mark.parametrize("jump", [-3, 700])
def test_a_picture_whose_time_is_wrong_once_moves_nothing_after_it(parts, jump):
    with av.open(str(parts[0])) as container:
        video = container.streams.video[0]

        def demux():
            for packet in (p for p in container.demux() if p.size):
                given.append((packet.stream_index, packet.pts))
                if [index for index, _ in given].count(video.index) == 10 and packet.stream_index == video.index:
                    packet.pts, packet.dts = packet.pts + 90000 * jump, packet.dts + 90000 * jump
                yield packet

        given: list[tuple[int, int]] = []
        lying = SimpleNamespace(format=container.format, streams=container.streams, demux=demux)
        repaired = [(p.stream_index, p.pts) for p in Continuity(lying, video, RATE)]
    wrong = [one for one, other in zip(given, repaired, strict=True) if one != other]
    assert len(wrong) <= 1 and all(index == video.index for index, _ in wrong)


def test_a_stream_that_appears_while_it_is_read_is_no_error(parts):
    """PyAV ends in an IndexError then, when it flushes a stream that it did not see at the beginning."""
    with av.open(str(parts[0])) as container:

        def demux():
            yield from container.demux()
            raise IndexError("list index out of range")

        lying = SimpleNamespace(format=container.format, streams=container.streams, demux=demux)
        found = list(Continuity(lying, container.streams.video[0], RATE))
        assert len([packet for packet in found if packet.size and packet.stream.type == "video"]) == 25
