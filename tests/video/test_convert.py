"""Whole conversions: known motion, exact times, sources that break off, what is said at the end."""

import os
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import Average, make_clip, packets, read, square
from PIL import Image

from datasets.clips import EXAMPLE
from models import waveletvfi
from video import Frame, Options, convert, describe
from video.convert import summarise
from video.read.reader import DamagedVideo
from video.read.source import Source
from video.render.network import Call
from video.render.pipeline import Made
from video.schedule.timeline import Slot, Span
from video.write.job import Record

CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "waveletvfi_small.pth"


def psnr(image: np.ndarray, expected: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.square(image.astype(float) - expected).mean())


def waves(shift: float, height: int = 96, width: int = 144) -> np.ndarray:
    """A pattern, moved to the right by so many pixels; (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width].astype(float)
    x = x - shift
    phases = [x / 5 + y / 9, x / 7 - y / 6 + 1, x / 9 + 2]
    return np.stack([127 + 100 * np.sin(phase) for phase in phases], axis=-1).round().astype(np.uint8)


def test_a_known_motion_gives_the_known_middle_frame(tmp_path):
    clip = make_clip(tmp_path / "clip.mkv", [waves(4 * k) for k in range(3)], codec="ffv1", pix_fmt="bgr0")
    convert([clip], tmp_path / "out.mkv", waveletvfi(CHECKPOINT), Options(codec="ffv1"))
    frames = read(tmp_path / "out.mkv")
    for k in range(3):
        np.testing.assert_array_equal(frames[2 * k].image, waves(4 * k))
    for k in range(2):
        average = (waves(4 * k).astype(float) + waves(4 * k + 4)) / 2
        assert psnr(frames[2 * k + 1].image, waves(4 * k + 2)) > psnr(average, waves(4 * k + 2)) + 3


def test_frames_left_out_of_a_real_clip_come_back_better_than_averaged(tmp_path):
    truth = [frame.image[40:232, 160:416] for frame in read(EXAMPLE)[10:15]]
    for k in range(0, 5, 2):
        Image.fromarray(truth[k]).save(tmp_path / f"{k}.png")
    convert([tmp_path / f"{k}.png" for k in range(0, 5, 2)], tmp_path / "out", waveletvfi(CHECKPOINT))
    made = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out").iterdir())]
    for k in (1, 3):
        average = (truth[k - 1].astype(float) + truth[k + 1]) / 2
        assert psnr(made[k], truth[k]) > psnr(average, truth[k])
        np.testing.assert_array_equal(made[k - 1], truth[k - 1])


def test_source_frames_stay_bit_for_bit_as_they_are_stored(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [square(k) for k in range(5)], pix_fmt="yuv420p")
    convert([clip], tmp_path / "out.mkv", Average(), Options(codec="ffv1", multiplier=Fraction(5, 2)))

    def planes(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [b"".join(bytes(plane) for plane in frame.planes) for frame in container.decode(video=0)]

    assert planes(tmp_path / "out.mkv")[::5] == planes(clip)[::2]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("options", [Options(), Options(fps=30), Options(slow=3), Options(multiplier=Fraction(7, 3))])
def test_a_variable_rate_lasts_as_long_and_its_frames_come_when_they_did(tmp_path, suffix, options):
    times = [0, 3000, 12000, 15000, 18000, 45000, 48000]  # 90 kHz
    images = [np.full((48, 64, 3), 30 * k, np.uint8) for k in range(7)]
    clip = make_clip(tmp_path / f"clip{suffix}", images, times=times, rate=30)
    summary = convert([clip], tmp_path / f"out{suffix}", Average(), options)
    frames, source = read(tmp_path / f"out{suffix}"), read(clip)
    assert len(frames) == summary.frames
    tick = Fraction(1, 1000) if suffix == ".mkv" else Fraction(1, 90000)
    if options.fps:
        assert all(abs(frame.time - Fraction(k, 30)) <= tick for k, frame in enumerate(frames))
    else:
        shown = [(f, s) for f in frames for s in source if abs(f.time - options.slow * s.time) <= tick]
        assert len(shown) >= (len(source) if options.slow != 1 or options.multiplier is None else 3)
        assert all(abs(int(f.image[0, 0, 0]) - int(s.image[0, 0, 0])) <= 2 for f, s in shown)
    with av.open(str(tmp_path / f"out{suffix}")) as out:
        assert abs(out.duration / 1e6 - options.slow * 17 / 30) <= 1 / 30 + 1e-3


def test_sound_stays_or_is_said_to_go(tmp_path, caplog):
    clip = make_clip(tmp_path / "clip.mp4", [square(k) for k in range(6)], sound=[0.25])
    convert([clip], tmp_path / "same.mp4", Average(), Options(fps=60))
    assert packets(tmp_path / "same.mp4") == packets(clip) and not caplog.records
    convert([clip], tmp_path / "slow.mp4", Average(), Options(slow=2))
    assert packets(tmp_path / "slow.mp4") == [] and "time is stretched" in caplog.text


def test_two_images_give_the_middle_one_in_sixteen_bits_too(tmp_path):
    for name, value in (("a", 1000), ("b", 3000)):
        Image.fromarray(np.full((4, 5), value, np.uint16)).save(tmp_path / f"{name}.png")
    convert([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "c.png", Average())
    with Image.open(tmp_path / "c.png") as image:
        assert np.asarray(image).ravel()[0] in (2000 >> 8, 2000)  # Pillow reads 16-bit colour as 8 bits


class Broken:
    """A reader of eight frames that fails after `good` of them."""

    rate, duration, total, is_duration_own = Fraction(10), Fraction(8, 10), 8, True
    damage, has_places = None, False

    def __init__(self, good: int = 8, times: list[Fraction] | None = None, error: type = DamagedVideo):
        self._error = error
        self._good, self._times = good, times or [Fraction(k, 10) for k in range(8)]

    def frames(self):
        for k, time in enumerate(self._times):
            if k == self._good:
                details = {"count": k, "time": None} if self._error is DamagedVideo else {}
                raise self._error(f"broken after frame {k}", **details)
            yield Frame(np.zeros((4, 4, 3), np.uint8), time, f"frame {k + 1}")


@pytest.mark.parametrize("good", [2, 5])
@pytest.mark.parametrize("error", [DamagedVideo, ValueError])
def test_a_source_ends_where_it_breaks_off(good, error):
    source = Source(Broken(good, error=error))
    frames = list(source.frames())
    assert len(frames) == good and source.damage == f"broken after frame {good}"
    assert source.until(frames[-1].time, Fraction(1, 10)) == source.end == Fraction(good, 10)


@pytest.mark.parametrize("good", [0, 1])
def test_a_source_without_a_pair_is_an_error(good):
    with pytest.raises(DamagedVideo, match=f"broken after frame {good}"):
        list(Source(Broken(good)).frames())


def test_a_clock_that_jumps_is_damage():
    source = Source(Broken(times=[Fraction(k) for k in (0, 1, 2, 603)]))
    assert len(list(source.frames())) == 3
    assert source.damage == "frame 4 comes 601 s after the one before"


def test_only_the_beginning_is_read_if_asked_for():
    source = Source(Broken(), end=Fraction(1, 3))
    assert [frame.time for frame in source.frames()] == [Fraction(k, 10) for k in range(4)]
    assert source.total == 4 and source.damage is None
    assert source.until(Fraction(3, 10), Fraction(1, 10)) == Fraction(4, 10)


@pytest.mark.parametrize(
    ("duration", "end"),
    [("0.8", "0.8"), ("0.85", "0.85"), ("0.95", "0.95"), ("99", "99"), ("601", "0.8"), ("0.5", "0.8"), (None, "0.8")],
)
@pytest.mark.parametrize("is_own", [True, False])
def test_the_last_frame_lasts_as_the_file_says_if_that_is_believable(duration, end, is_own):
    reader = Broken()
    reader.duration, reader.is_duration_own = duration and Fraction(duration), is_own
    if not is_own and Fraction(end) > Fraction(9, 10):  # longer than usual, and of another stream perhaps
        end = "0.8"
    assert Source(reader).until(Fraction(7, 10), Fraction(1, 10)) == Fraction(end)


def test_a_summary_adds_up():
    image, black = (np.full((2, 2, 3), value, np.uint8) for value in (1, 2))
    first, second = Frame(image, Fraction(0), "a"), Frame(image.copy(), Fraction(1), "b")
    moving, cut = Span(first, second, False, 0, []), Span(first, second, True, 0, [])
    record = Record()
    cost = Call(cost=0.5, ratio=0.0104, executed=2.0, dense=10.0)
    for span, frame, at, calls in (
        (moving, first, 0, []),
        (moving, Frame(black, Fraction(1, 3), ""), Fraction(1, 3), [cost, Call(0.0, None, 0.0, 10.0, 0)]),
        (cut, first, 0, []), (cut, first, Fraction(1, 2), []), (Span(second, None, False, 0, []), second, 1, []),
    ):  # fmt: skip
        record.add(Made(frame, Slot(0, 0, Fraction(at), Fraction(at)), span, calls))
    assert (record.frames, record.made, record.held, record.cuts) == (5, 1, 1, [1.0])
    again = Record(**asdict(record))
    summary = summarise([record, again], output=Path("out.mp4"), seconds=1.5, damage=None)
    assert summary[1:9] == (10, 2, 2, [1.0], 1.5, 0.25, 0.9, {0.01: 2}) and summary.calls == 2
    assert describe(summary) == (
        "10 frames in out.mp4: 2 made by 2 network calls, 0.75 s each; 90% of the operations saved; 1 cut held"
    )
    silent = summarise([Record(frames=3)], output=Path("out"), seconds=0.1, damage=None)
    assert describe(silent) == "3 frames in out: 0 made without the network"


def test_the_name_of_an_input_need_not_be_text(tmp_path):
    clip = make_clip(tmp_path / os.fsdecode(b"caf\xe9.mp4"), [square(k) for k in range(3)])  # the name is in Latin-1
    assert convert([clip], tmp_path / "out.mp4", Average()).frames == 6


@pytest.mark.parametrize(("seconds", "words"), [(0.00004, "0.0000"), (0.31, "0.31"), (3.14, "3.1"), (314.2, "314")])
def test_seconds_are_said_in_two_digits(seconds, words):
    record = Record(frames=2, made=1, calls=[[0.5, None, None, None, None, 1]])
    assert f", {words} s each" in describe(summarise([record], output=Path("o"), seconds=seconds, damage=None))
