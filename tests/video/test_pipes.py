"""`-`: a video from standard input, y4m to standard output, one frame at a time."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import Average, Still, make_clip, packets, read, square
from helpers.pipes import standard_input, standard_output
from helpers.runs import ROOT
from test_alpha import make_video

import interpolate
from common.startup import run_script
from utils import Process
from video import Options, Summary, VideoReader, check_report, convert, describe
from video.read.colour import Colour
from video.read.damage import missing_in_pipe
from video.read.pipes import PIPE, ClosedPipeError, PipeIn, PipeOut, PipeReader, claimed_output
from video.write.pixels import y4m_format

HEADER = b"YUV4MPEG2 W64 H48 F30000:1001 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=LIMITED\n"
SIZE = 64 * 48 * 3 // 2


def y4m(count: int, header: bytes = HEADER, size: int = SIZE) -> bytes:
    return header + b"".join(b"FRAME\n" + bytes([16 + k]) * size for k in range(count))


def through(content: bytes) -> tuple[bytes, bytes, Summary]:
    """Header, frames and summary of a conversion from pipe to pipe."""
    with standard_output() as came, standard_input(content):
        summary = convert([PIPE], PIPE, Average())
    header, _, frames = came[0].partition(b"\n")
    return header + b"\n", frames, summary


def split(frames: bytes, size: int = SIZE) -> list[bytes]:
    """The planes of each frame."""
    parts = [frames[k : k + size + 6] for k in range(0, len(frames), size + 6)]
    assert all(part.startswith(b"FRAME\n") and len(part) == size + 6 for part in parts)
    return [part[6:] for part in parts]


def test_y4m_goes_through_with_its_tags_and_its_own_frames_untouched():
    header, frames, summary = through(y4m(3))
    assert header == HEADER.replace(b"30000:1001", b"60000:1001")
    assert split(frames)[::2] == split(y4m(3).removeprefix(HEADER)) and len(split(frames)) == 6
    assert describe(summary).startswith("6 frames in standard output: 2 made ")


@pytest.mark.parametrize("siting", ["420mpeg2", "420jpeg", "420paldv"])
@pytest.mark.parametrize("range_", ["FULL", "LIMITED"])
def test_siting_and_range_are_carried(siting, range_):
    given = HEADER.replace(b"420mpeg2", siting.encode()).replace(b"420MPEG2", siting.upper().encode())
    given = given.replace(b"LIMITED", range_.encode()).replace(b"A1:1", b"A4:3")
    header, *_ = through(y4m(2, given))
    assert header == given.replace(b"30000:1001", b"60000:1001")


@pytest.mark.parametrize(
    ("space", "size"), [("mono", 3072), ("422", 6144), ("444p16", 18432), ("420p10", 9216), ("mono12", 6144)]
)
def test_every_kind_of_planes_is_kept(space, size):
    given = f"YUV4MPEG2 W64 H48 F25:1 Ip A0:0 C{space}\n".encode()
    planes = [bytes([k, 1]) * (size // 2) for k in (2, 3, 4)]
    header, frames, _ = through(given + b"".join(b"FRAME\n" + plane for plane in planes))
    assert f" C{space} ".encode() in header and split(frames, size)[::2] == planes


@pytest.mark.parametrize(("siting", "named"), [("left", b"C420mpeg2"), ("topleft", b"C420paldv")])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_file_becomes_y4m_of_its_own_siting_at_even_times(tmp_path, siting, named, codec):
    clip = make_clip(
        tmp_path / "a.mkv", [square(k) for k in range(4)], codec=codec, pix_fmt="yuv420p", aspect=Fraction(4, 3),
        options={"chroma_sample_location": siting},
    )  # fmt: skip
    with standard_output() as came:
        convert([clip], PIPE, Average(), Options(multiplier=3))
    (tmp_path / "a.y4m").write_bytes(came[0])
    made = VideoReader(tmp_path / "a.y4m")
    assert named in came[0] and (made.rate, made.aspect) == (Fraction(72000, 1001), Fraction(4, 3))
    frames = list(made.frames())
    assert [frame.time * made.rate for frame in frames] == list(range(12))
    for k, frame in enumerate(read(clip)):
        np.testing.assert_array_equal(frames[3 * k].image, frame.image)


def test_a_variable_rate_becomes_a_constant_one(tmp_path):
    images = [np.full((48, 64, 3), 40 * k, np.uint8) for k in range(4)]
    clip = make_clip(tmp_path / "a.mkv", images, times=[0, 3000, 9000, 12000], rate=30, codec="ffv1", pix_fmt="gray")
    with standard_output() as came:
        convert([clip], PIPE, Average(), Options(multiplier=2))
    (tmp_path / "a.y4m").write_bytes(came[0])
    greys = [frame.image[0, 0, 0] for frame in VideoReader(tmp_path / "a.y4m").frames()]
    np.testing.assert_allclose(greys, [0, 20, 40, 50, 60, 70, 80, 100, 120, 120], atol=1)


def test_a_matroska_from_a_pipe_is_converted_as_the_file_is(tmp_path):
    images = [square(k) for k in range(5)]
    clip = make_clip(tmp_path / "a.mkv", images, sound=[0.2], metadata={"title": "Squares"})
    convert([clip], tmp_path / "file.mkv", Average())
    with standard_input(clip.read_bytes()):
        convert([PIPE], tmp_path / "pipe.mkv", Average())
    assert (tmp_path / "pipe.mkv").read_bytes() == (tmp_path / "file.mkv").read_bytes()
    assert packets(tmp_path / "pipe.mkv") == packets(clip)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mkv", "file.mkv", "pipe.mkv"}


def test_alpha_comes_through_a_pipe_in_matroska_and_not_in_y4m(tmp_path):
    clip = make_video(tmp_path / "a.mkv", "ffv1", "bgra")
    convert([clip], tmp_path / "file.mkv", Average(), Options(alpha=True))
    with standard_input(clip.read_bytes()):
        convert([PIPE], tmp_path / "pipe.mkv", Average(), Options(alpha=True))
    assert (tmp_path / "pipe.mkv").read_bytes() == (tmp_path / "file.mkv").read_bytes()
    with standard_input(y4m(3)), pytest.raises(ValueError, match="standard input: no alpha channel; pipe Matroska"):
        convert([PIPE], tmp_path / "a.mov", Average(), Options(alpha=True))
    assert not (tmp_path / "a.mov").exists()


@pytest.mark.parametrize("name", ["fields", "deinterlace"])
def test_interlaced_video_comes_through_a_pipe(tmp_path, name):
    images = [square(k) for k in range(5)]
    clip = make_clip(tmp_path / "a.mkv", images, pix_fmt="yuv420p", sound=[0.2])
    convert([clip], tmp_path / "file.mkv", Average(), Options(**{name: True}))
    with standard_input(clip.read_bytes()):
        convert([PIPE], tmp_path / "pipe.mkv", Average(), Options(**{name: True}))
    assert (tmp_path / "pipe.mkv").read_bytes() == (tmp_path / "file.mkv").read_bytes()


def test_images_go_into_a_pipe_as_whole_chroma(tmp_path):
    clip = make_clip(tmp_path / "a.apng", [square(k) for k in range(3)], codec="apng", pix_fmt="rgb24", rate=10)
    with standard_output() as came:
        convert([clip], PIPE, Average())
    assert b" F20:1 " in came[0][:100] and b" C444 XYSCSS=444 XCOLORRANGE=FULL\n" in came[0][:100]


def streamed(clip: Path) -> bytes:
    """The same packets as a Matroska that was written into a pipe: nothing in it says how long it is."""

    class Bytes:
        content = b""

        def write(self, data: bytes) -> int:
            self.content += bytes(data)
            return len(data)

    into = Bytes()
    with av.open(str(clip)) as source, av.open(into, "w", format="matroska") as target:
        copies = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    return into.content


@pytest.mark.parametrize(
    ("kind", "cut"), [("y4m", 1), ("y4m", 1500), ("mkv", 150), ("mkv", 1500), ("streamed", 1), ("streamed", 1500)]
)
def test_an_input_that_breaks_off_is_done_as_far_as_it_goes_and_said(tmp_path, kind, cut):
    clip = make_clip(tmp_path / "a.mkv", [square(k % 12) for k in range(40)], codec="ffv1", pix_fmt="yuv420p")
    whole = {"y4m": y4m(6), "mkv": clip.read_bytes(), "streamed": streamed(clip)}[kind]
    assert through(whole)[2].damage is None
    _, frames, summary = through(whole[:-cut])
    assert summary.damage.startswith("standard input is truncated or corrupt after frame")
    if kind == "y4m":
        assert "of its last frame, only the first" in summary.damage and len(split(frames)) == 10


def test_a_truncated_y4m_file_is_told_too(tmp_path):
    (tmp_path / "a.y4m").write_bytes(y4m(4)[:-7])
    summary = convert([tmp_path / "a.y4m"], tmp_path / "out", Average())
    assert f"only the first {SIZE - 1} bytes are there" in summary.damage and summary.frames == 6


def test_blocks_that_are_whole_are_not_taken_for_cut_ones():
    head = bytes.fromhex("1a45dfa3a318538067") + b"\xff" * 8 + bytes(60)  # of unknown size
    tail = bytes(4) + b"\x9b\x81\x01" + b"\xa3\x85" + bytes(5)
    for rest, expected in ((tail, ""), (tail[:-1], "its last block is not complete"), (bytes(9), "")):
        assert missing_in_pipe({"matroska"}, head=head, tail=rest, count=900 + len(rest), reached=900) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "standard input is not a video but an empty file"), (b"hello\n" * 9, "not a video but text"),
     (HEADER, "no frame can be decoded"), (y4m(1), "is the only frame")],
)  # fmt: skip
def test_what_is_no_video_is_told(content, message):
    with pytest.raises(ValueError, match=message):
        through(content)


def test_an_mp4_with_its_index_at_the_end_is_refused_with_what_to_do(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 144, 192, 3), np.uint8)
    clip = make_clip(tmp_path / "a.mp4", list(noise))
    assert clip.stat().st_size > 2**21
    with pytest.raises(ValueError, match=r"index of an mp4 may be at its end: give the file's name, or pipe"):
        through(clip.read_bytes())


@pytest.mark.parametrize(
    ("inputs", "output", "flags", "message"),
    [(["-"], "out.mp4", {"resume": True}, "--resume needs files: standard input"),
     (["a.mkv"], "-", {"resume": True}, "--resume needs files: standard output"),
     (["-", "a.mkv"], "out.mp4", {}, "- is standard input, one video; give it alone"),
     (["-"], "-", {"process": Process(0, 2, 0, "cpu")}, "belongs to one process, not to 2; run without torchrun"),
     (["a.mkv"], "-", {"options": Options(codec="h264", crf=3)}, "--codec, --crf: standard output gets uncompressed"),
     (["a.mkv"], "-", {"options": Options(alpha=True)}, "gets y4m, which cannot keep an alpha channel")],
)  # fmt: skip
def test_what_a_pipe_cannot_do_is_refused(tmp_path, monkeypatch, inputs, output, flags, message):
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "a.mkv", [square(k) for k in range(3)])
    with standard_output() as came, pytest.raises(ValueError, match=message):
        convert(inputs, output, Average(), **flags)
    assert came == [b""] and not (tmp_path / "out.mp4").exists()


def test_a_terminal_is_refused(monkeypatch):
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    with pytest.raises(ValueError, match="standard input is a terminal; pipe a video into it"):
        PipeIn()
    with pytest.raises(ValueError, match="standard output is a terminal; pipe it"), claimed_output():
        pass


def test_a_closed_output_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ValueError, match="standard output is closed; pipe it"), claimed_output():
        pass


def test_colours_without_a_place_in_y4m_are_said(caplog):
    y4m_format(Still(48, 64), rate=Fraction(25))
    assert not caplog.records
    for colour in (Colour(9, 9, 16), Colour(1)):
        caplog.clear()
        y4m_format(Still(48, 64, colour=colour, pixel_format="yuv420p"), rate=Fraction(25))
        assert f"matrix {colour.matrix}, primaries {colour.primaries}" in caplog.text


def test_waiting_for_a_pipe_ends_when_it_is_closed_on_this_side():
    for end, use in ((0, lambda pipe: pipe.read(9)), (1, lambda pipe: pipe.write(bytes(2**22)))):
        ends = os.pipe()
        pipe = (PipeIn, PipeOut)[end](ends[end])
        thread = threading.Thread(target=use, args=(pipe,))
        thread.start()
        time.sleep(0.05)
        assert thread.is_alive()
        pipe.close()
        thread.join(5)
        assert not thread.is_alive()
        for descriptor in ends:
            os.close(descriptor)


def test_a_reader_that_is_gone_is_an_error_of_its_own():
    ours, theirs = os.pipe()
    os.close(ours)
    with pytest.raises(ClosedPipeError, match="standard output was closed by the program that reads it"):
        PipeOut(theirs).write(b"x")
    os.close(theirs)


def test_the_script_writes_nothing_but_the_video_to_standard_output(monkeypatch, capsys):
    monkeypatch.setattr(interpolate, "network", lambda args, device: Average())
    with standard_output() as came, standard_input(y4m(4)):
        run_script(interpolate.main, interpolate.parse_args(["-", "--output", "-"]))
    header, _, frames = came[0].partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 ") and len(split(frames)) == 8
    captured = capsys.readouterr()
    assert captured.out == "" and "8 frames in standard output: " in captured.err


def test_what_reads_the_input_again_is_refused_for_a_pipe(tmp_path):
    with pytest.raises(ValueError, match="a report reads the input again, and standard input is read once"):
        check_report(tmp_path / "a.png", tmp_path / "a.mkv", [PIPE])
    with standard_input(y4m(3)), pytest.raises(ValueError, match="read from its beginning, not from 1/2 s on"):
        PipeReader(PipeIn()).frames(start=Fraction(1, 2))


SCRIPT = (
    "import interpolate; from helpers import clips; from common import startup\n"
    "interpolate.network = lambda args, device: clips.Average()\n"
    "print('noise')\n"
    "startup.run_script(interpolate.main, interpolate.parse_args({arguments!r}))\n"
)


def script(*arguments: str, **options) -> subprocess.Popen:
    paths = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT.format(arguments=list(arguments))]
    return subprocess.Popen(command, cwd=ROOT, env=paths, stderr=subprocess.PIPE, **options)


def test_the_script_says_everything_on_the_other_output_and_ends_quietly_when_nobody_reads(tmp_path):
    """Backpressure: of an endless input no more is read than what fits into pipes and short queues."""
    with script("-", "-o", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        large = HEADER.replace(b"W64 H48", b"W640 H480")
        frame = b"FRAME\n" + bytes([50]) * (640 * 480 * 3 // 2)
        sent = 0
        process.stdin.write(large)

        def feed() -> None:
            nonlocal sent
            with contextlib.suppress(BrokenPipeError):
                while sent < 500:
                    process.stdin.write(frame)
                    sent += 1

        thread = threading.Thread(target=feed)
        thread.start()
        assert process.stdout.readline() == b"noise\n"
        assert process.stdout.readline() == large.replace(b"30000:1001", b"60000:1001")
        before = -1
        while sent != before:
            before = sent
            time.sleep(0.5)
        assert sent < 60
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(60) == 141
        thread.join()
    assert "Traceback" not in said and said.endswith("ended: standard output was closed by the program that reads it\n")


def test_sigterm_ends_a_script_that_waits_for_its_input(tmp_path):
    with script("-", "-o", str(tmp_path / "out.mkv"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(y4m(3))
        process.stdin.flush()
        while not list(tmp_path.glob(".out.mkv.part/*")):
            time.sleep(0.1)
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
