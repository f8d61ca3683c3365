"""An output lasts as long as its input, whatever holds either."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from helpers.clips import Average, make_clip, square
from PIL import Image

from video import Options, VideoReader, convert
from video.read.source import Source

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


@pytest.mark.parametrize("kind", [".gif", ".apng"])
@pytest.mark.parametrize(
    ("shown", "seconds", "rate"),
    [
        ([10] * 8, 0.8, 10),
        ([0] * 8, 0.8, 10),
        ([20] * 8, 0.16, 50),
        ([40] * 6 + [10, 10], 0.44, 25),
        ([10, 500], 0.6, 10),
    ],
)
def test_a_moving_image_is_as_slow_as_in_a_browser(tmp_path, kind, shown, seconds, rate):
    source = make_held_image(tmp_path / f"a{kind}", shown=shown)
    reader = VideoReader(source)
    assert float(reader.duration or reader.total / reader.rate) == pytest.approx(seconds, abs=1e-3)
    assert reader.rate == rate or len(shown) == 2
    convert([source], tmp_path / "b.mp4", Average(), Options())
    assert length(tmp_path / "b.mp4") == pytest.approx(seconds, abs=1e-3)


def make_edited(path: Path, *, hidden: Fraction) -> Path:
    """An mp4 that hides its first moments: their times are negative, which becomes an edit list."""
    whole = make_clip(path.with_name("whole.mp4"), [square(k % 10) for k in range(50)], rate=25, sound=[2])
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        copies = {s.index: container.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                shift = round(hidden / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - shift,
                    packet.dts - shift,
                    copies[packet.stream.index],
                )
                container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_what_an_edit_list_hides_stays_hidden(tmp_path, suffix):
    source = make_edited(tmp_path / "a.mp4", hidden=Fraction(4, 5))
    output = convert([source], tmp_path / f"b{suffix}", Average(), Options()).output
    assert VideoReader(output).total == pytest.approx(60, abs=2) and length(output) == pytest.approx(1.2, abs=0.05)
    times = {}
    with av.open(str(output)) as container:
        assert container.start_time == pytest.approx(0, abs=1000)
        for packet in container.demux():
            if packet.size and not packet.is_discard:
                times.setdefault(packet.stream.type, []).append(packet.pts * packet.time_base)
    assert min(times["video"]) == 0
    assert -0.03 < min(times["audio"]) < 0.03  # nothing of the hidden part is heard
    assert max(times["audio"]) == pytest.approx(1.2, abs=0.05)
