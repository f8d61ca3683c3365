"""Frames out: every container and codec, exact times, the same bytes however the segments were made, or nothing."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import RATE, SQUARES, Still, convert, make_clip, read, square, write
from helpers.runs import ROOT, finish, launch

from video.read.reader import VideoReader
from video.write.carried import Carried
from video.write.codecs import choose_format
from video.write.mux import join
from video.write.segments import segment_writer

CODECS = [
    (".mp4", None, "h264"), (".mov", None, "h264"), (".m4v", None, "h264"), (".mkv", None, "h264"),
    (".webm", None, "vp9"), (".mp4", "h265", "hevc"), (".mkv", "h265", "hevc"), (".mp4", "vp9", "vp9"),
    (".mp4", "av1", "av1"), (".webm", "av1", "av1"), (".mkv", "ffv1", "ffv1"),
]  # fmt: skip


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """Large enough for every encoder."""
    return make_clip(tmp_path_factory.mktemp("large") / "a.mkv", [square(k, 64, 96) for k in range(6)])


@pytest.mark.parametrize(("suffix", "codec", "name"), CODECS)
def test_every_codec_in_every_container_lasts_as_long_as_the_source_at_twice_the_rate(
    tmp_path, large, suffix, codec, name
):
    reader = VideoReader(convert(large, tmp_path / f"b{suffix}", codec=codec))
    frames, expected = list(reader.frames()), read(large)
    with av.open(str(reader.path)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == name
        assert abs(container.duration * Fraction(1, 10**6) - 6 / RATE) < Fraction(2, 1000)
    assert len(frames) == 12 and abs(reader.rate - 2 * RATE) < Fraction(1, 50)
    unit = Fraction(1, 1000) if suffix in (".mkv", ".webm") else 0  # these round times to milliseconds
    for k, frame in enumerate(frames):
        assert abs(frame.time - k / (RATE * 2)) <= unit
        mean = (expected[k // 2].image.astype(float) + expected[min((k + 1) // 2, 5)].image) / 2
        assert np.abs(frame.image - mean).mean() < 1.5


PERTURBED = """
import hashlib, sys
from pathlib import Path
from helpers.clips import convert
source, folder = map(Path, sys.argv[1:])
for name, codec in (("a.mp4", "h264"), ("b.mp4", "h265"), ("c.webm", "vp9"), ("d.mp4", "av1"), ("e.mkv", "ffv1")):
    for segment in (12, 7, 5):  # the last one of 4, 2 and 1 frames
        content = convert(source, folder / name, segment=segment, codec=codec).read_bytes()
        print(name, hashlib.sha256(content).hexdigest())
"""


def test_files_do_not_depend_on_what_was_in_memory_before(tmp_path):
    """x264 did: it read what it had not written; and x265 did where a segment has one or two frames."""
    source = make_clip(tmp_path / "a.mkv", [square(k, 64, 64) for k in range(8)])
    outputs = []
    for value in (0, 85):  # glibc's malloc hands out memory full of one byte
        (folder := tmp_path / str(value)).mkdir()
        process = launch(
            "-c", PERTURBED, source, folder, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}", MALLOC_PERTURB_=str(value)
        )
        outputs.append(finish(process))
    assert outputs[0] == outputs[1] and outputs[0].count("\n") == 15


@pytest.mark.parametrize("options", [{}, {"codec": "h265"}, {"codec": "ffv1"}])
def test_segments_give_the_same_bytes_in_any_order_of_making(tmp_path, large, options):
    reader = VideoReader(large)
    outputs = []
    for order in ((0, 1, 2), (2, 0, 1)):
        output = tmp_path / f"{order[0]}.mkv"
        form = choose_format(output, reader, **options)
        frames = read(large)
        for index in order:
            with segment_writer(tmp_path / str(order[0]), index, form) as writer:
                for frame in frames[2 * index : 2 * index + 2]:
                    writer.write(frame)
        join(tmp_path / str(order[0]), form, output, carried=Carried(reader))
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]


def test_joined_packets_are_decoded_in_order_however_the_encoder_reorders_them(tmp_path):
    source = make_clip(tmp_path / "a.mp4", [square(k % 12) for k in range(26)])
    output = convert(source, tmp_path / "b.mp4", segment=13)
    with av.open(str(output)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    decoded = [packet.dts for packet in packets]
    assert decoded == sorted(set(decoded)) and all(packet.dts <= packet.pts for packet in packets)
    assert any(packet.pts != packet.dts for packet in packets)  # there are frames that refer forward
    shown = sorted(packet.pts for packet in packets)
    assert {b - a for a, b in pairwise(shown)} == {packet.duration for packet in packets}
    assert [packet.is_keyframe for packet in packets].count(True) == 4


def test_times_of_a_variable_rate_source_are_kept(tmp_path):
    times = [0, 3003, 9009, 12012, 30030, 33033]  # at 90 kHz
    source = make_clip(tmp_path / "a.mp4", SQUARES, times=times, rate=Fraction(30000, 1001))
    output = convert(source, tmp_path / "b.mp4", end=Fraction(50000, 90000))
    frames = read(output)
    assert [frame.time for frame in frames[::2]] == [Fraction(time, 90000) for time in times]
    assert frames[7].time == Fraction(12012 + 30030, 180000)
    with av.open(str(output)) as container:
        video = container.streams.video[0]
        assert video.duration * video.time_base == Fraction(50000, 90000)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuvj444p", "gbrp10le", "gray", "yuv420p12le"])
def test_source_frames_come_through_a_lossless_codec_bit_for_bit(tmp_path, pix_fmt):
    images = [np.random.default_rng(k).integers(0, 65536, (30, 34, 3), np.uint16) for k in range(3)]
    codec = {"yuvj444p": "mjpeg"}.get(pix_fmt, "ffv1")
    source = make_clip(tmp_path / "a.mkv", images, pix_fmt=pix_fmt, codec=codec, rate=25)
    output = convert(source, tmp_path / "b.mkv", codec="ffv1")
    for frame, same in zip(read(source), read(output)[::2], strict=True):
        assert frame.native.format.name.replace("yuvj", "yuv") == same.native.format.name
        for plane, copy in zip(frame.native.planes, same.native.planes, strict=True):
            rows = [np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[: p.height] for p in (plane, copy)]
            size = plane.width * (2 if frame.image.dtype == np.uint16 else 1)
            np.testing.assert_array_equal(rows[0][:, :size], rows[1][:, :size])
        np.testing.assert_array_equal(frame.image, same.image)


@pytest.mark.parametrize("suffix", [".mkv", ".apng"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_come_through_lossless_outputs_bit_for_bit(tmp_path, suffix, dtype):
    images = [np.random.default_rng(k).integers(0, np.iinfo(dtype).max + 1, (5, 7, 3), dtype) for k in range(3)]
    fields = {} if dtype == np.uint8 else {"bits": 16, "pixel_format": "rgb48le"}
    codec = None if suffix == ".apng" else "ffv1"
    output = write(tmp_path / f"a{suffix}", images, codec=codec, fields=fields)
    for frame, image in zip(read(output), images, strict=True):
        np.testing.assert_array_equal(frame.image, image)


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "ffv1"])
def test_ten_bits_in_are_ten_bits_out(tmp_path, codec, caplog):
    ramp = np.tile(np.linspace(0, 65535, 128).astype(np.uint16), (64, 1))
    image = np.repeat(ramp[..., None], 3, 2)
    source = make_clip(tmp_path / "a.mkv", [image] * 2, pix_fmt="yuv420p10le", codec="ffv1", colour=(1, 1))
    reader = VideoReader(convert(source, tmp_path / "b.mkv", codec=codec))
    assert reader.pixel_format == "yuv420p10le" and not caplog.records
    assert len(np.unique(next(reader.frames()).image[20, :, 1])) > 110  # 8 bits would do with fewer than 2 per code
    assert np.abs(next(reader.frames()).image.astype(int) - image).mean() < 65535 / 876 * 2


def test_eight_bits_where_the_codec_has_no_more_is_said(tmp_path, caplog):
    choose_format(tmp_path / "a.webm", Still(64, 64, bits=10, pixel_format="yuv420p10le"))
    assert "libvpx-vp9 stores 8 bits, the source has 10; --codec ffv1 keeps them" in caplog.text


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (5, 3), (17, 34), (16, 2), (2, 8191)])
@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", None), (".webm", None), (".mkv", "ffv1"), (".gif", None)])
def test_any_size_keeps_its_size(tmp_path, size, suffix, codec):
    images = [np.full((*size, 3), value, np.uint8) for value in (40, 90)]
    frames = read(write(tmp_path / f"a{suffix}", images, codec=codec))
    for frame, image in zip(frames, images, strict=True):
        assert frame.image.shape == image.shape
        assert np.abs(frame.image.astype(int) - image).max() <= 4


@pytest.mark.parametrize("name", ["talk: part 1.mp4", "50%d.mkv", "b.c:d.webm", "ü.gif"])
def test_any_name_is_a_file_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    assert len(read(write(path, SQUARES))) == 6
    if path.suffix == ".mp4":
        assert len(read(convert(path, Path("copy: " + name)))) == 12


@pytest.mark.parametrize(
    ("name", "codec", "is_kept"),
    [("a.mp4", None, True), ("a.mkv", None, True), ("a.webm", None, False), ("a.mp4", "vp9", True), ("a", None, False)],
)
def test_pixels_that_are_not_square_are_kept_or_that_is_said(tmp_path, caplog, name, codec, is_kept):
    aspect = Fraction(4, 3)
    output = write(tmp_path / name, SQUARES, codec=codec, fields={"aspect": aspect})
    assert ("4/3 as wide as high, will look square" in caplog.text) != is_kept
    assert output.is_dir() or VideoReader(output).aspect in ((aspect,) if is_kept else (None, 1))


def test_a_constant_quality_and_a_preset_reach_the_encoder(tmp_path):
    noise = [np.random.default_rng(k).integers(0, 256, (64, 64, 3), np.uint8) for k in range(3)]
    sizes = [write(tmp_path / f"{crf}.mp4", noise, crf=crf).stat().st_size for crf in (10, 30, 45)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 2 * sizes[2]
    assert b"subme=0" in write(tmp_path / "fast.mp4", noise, preset="ultrafast").read_bytes()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.xyz", {}, "unknown kind '.xyz'; use .mp4"),
        ("a.mp4", {"codec": "mpeg2"}, "unknown --codec 'mpeg2'; there are h264, h265"),
        ("a.webm", {"codec": "h264"}, ".webm does not hold h264; use .mp4, .m4v, .mov, .mkv"),
        ("a.mp4", {"crf": 52}, "h264 takes --crf from 0 to 51, got 52"),
        ("a.mp4", {"crf": -1}, "from 0 to 51, got -1"),
        ("a.mkv", {"codec": "ffv1", "crf": 3}, "ffv1 is lossless and takes no --crf, got 3"),
        ("a.mp4", {"preset": "quick"}, "h264 takes one of ultrafast superfast"),
        ("a.mkv", {"codec": "ffv1", "preset": "fast"}, "ffv1 takes no --preset, got --preset fast"),
        ("a.mp4", {"codec": "av1"}, "av1 takes sides from 64 to 8192 pixels, not 34x16"),
        ("a.gif", {"rate": Fraction(60)}, "a GIF shows at most 50 frames a second, not 60; use .apng"),
        ("a.gif", {"crf": 3}, "--crf and --preset are for videos"),
        ("a.apng", {"preset": "fast"}, "--crf and --preset are for videos"),
        ("frames", {"codec": "h264"}, "--codec is for videos, not for .*frames"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, name, options, words):
    with pytest.raises(ValueError, match=words):
        choose_format(tmp_path / name, Still(16, 34), **options)


def test_a_size_that_an_encoder_does_not_take_is_said_before_anything_is_made(tmp_path):
    with pytest.raises(ValueError, match=r"libx265 cannot store 8191x16 yuv444p \(.*\); try another --codec"):
        choose_format(tmp_path / "a.mp4", Still(16, 8191), codec="h265")
