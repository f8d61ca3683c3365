"""An output lasts as long as its input, whatever holds either."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import Average, square
from PIL import Image

from video import Options, VideoReader, convert
from video.source import Source

SUFFIXES = [".mp4", ".mov", ".mkv", ".webm", ".gif", ".apng"]


def make_held_image(path: Path, *, shown: list[int]) -> Path:
    """A moving image whose frames are shown for so many milliseconds."""
    first, *others = [Image.fromarray(square(k)) for k in range(len(shown))]
    kind = "PNG" if path.suffix == ".apng" else None
    first.save(path, format=kind, save_all=True, append_images=others, duration=shown, loop=0)
    return path


def make_held_video(path: Path, *, count: int = 8, hold: int = 3) -> Path:
    """25 frames a second, the last of which is shown for `hold` seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=64, height=48, pix_fmt="yuv420p")
        for k in range(count):
            for packet in stream.encode(av.VideoFrame.from_ndarray(square(k), "rgb24")):
                packet.duration = round((hold if k == count - 1 else Fraction(1, 25)) / packet.time_base)
                container.mux(packet)
    return path


def length(path: Path) -> float:
    """Seconds, as FFmpeg says, or (for APNG, of which it says nothing) as its frames add up to."""
    with av.open(str(path)) as container:
        if container.duration:
            return container.duration / 1e6
        ends = [(p.pts + p.duration) * p.time_base for p in container.demux(video=0) if p.size]
        return float(max(ends))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", [".gif", ".apng", ".mp4", ".mkv"])
def test_a_held_last_frame_is_held(tmp_path, kind, suffix):
    if kind in (".gif", ".apng"):
        source = make_held_image(tmp_path / f"a{kind}", shown=[100] * 7 + [2000])
    else:
        source = make_held_video(tmp_path / f"a{kind}", hold=2)
    expected = 7 / 25 + 2 if kind in (".mp4", ".mkv") else 2.7
    assert length(source) == pytest.approx(expected, abs=1e-3)
    summary = convert([source], tmp_path / f"b{suffix}", Average(), Options())
    assert summary.frames == 16 and length(tmp_path / f"b{suffix}") == pytest.approx(expected, abs=0.011)


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
@pytest.mark.parametrize("options", [{}, {"fps": 20}, {"slow": 2}, {"multiplier": 1}])
def test_a_held_last_frame_is_held_by_every_codec_and_at_every_rate(tmp_path, codec, options):
    images = [Image.fromarray(square(k, 64, 64)) for k in range(8)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100] * 7 + [2000])
    convert([tmp_path / "a.gif"], tmp_path / "b.mp4", Average(), Options(codec=codec, **options))
    assert length(tmp_path / "b.mp4") == pytest.approx(2.7 * options.get("slow", 1), abs=1e-3)


def test_the_output_can_be_the_input_again(tmp_path):
    source = make_held_image(tmp_path / "a.gif", shown=[100] * 7 + [2000])
    for suffix in SUFFIXES:
        output = convert([source], tmp_path / f"b{suffix}", Average(), Options(multiplier=1)).output
        assert length(output) == pytest.approx(2.7, abs=1e-3), suffix
        source = output


def test_seconds_end_inside_a_held_frame(tmp_path):
    source = make_held_image(tmp_path / "a.gif", shown=[100] * 7 + [2000])
    convert([source], tmp_path / "b.mp4", Average(), Options(seconds=Fraction(1)))
    assert length(tmp_path / "b.mp4") == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("lasts", "end"), [(None, "0.08"), ("0.02", "0.06"), ("3", "3.04"), ("601", "0.08")])
def test_the_last_frame_lasts_as_it_says_itself_if_that_is_believable(lasts, end, tmp_path):
    reader = VideoReader(make_held_video(tmp_path / "a.mp4", count=2, hold=1))
    reader.duration = None
    source = Source(reader)
    frames = [frame._replace(lasts=lasts and Fraction(lasts)) for frame in source.frames()]
    source._last = frames[-1]
    assert source.until(frames[-1].time, Fraction(1, 25)) == Fraction(end)
