"""The filter for VapourSynth: which frames are whose, their properties, and a real script where it is installed."""

import sys
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.clips import Average

from common.startup import MissingPackageError
from video.render.network import Network
from waveletvfi_vs import Maker, find_factor, vsfunc


class AnyTime(Average):
    """A network of any time, so that a frame's value tells where it was made."""

    config = SimpleNamespace(any_time=True)

    def __init__(self):
        self.times = []

    def interpolate(self, img0, img1, *, ratio, t):
        self.times.append(t)
        return img0 * (1 - t) + img1 * t


class FakeFrame:
    """What is used of a VapourSynth frame: three planes and properties."""

    def __init__(self, value: float, kind: type = np.float32, **props):
        self.planes = [np.full((8, 8), value, kind) for _ in range(3)]
        self.planes[0][0, 0] = 0  # not of one colour
        self.props = props

    def __getitem__(self, plane: int) -> np.ndarray:
        return self.planes[plane]

    def copy(self) -> "FakeFrame":
        made = FakeFrame(0, self.planes[0].dtype.type, **self.props)
        made.planes = [plane.copy() for plane in self.planes]
        return made


def made(maker: Maker, frames: list[FakeFrame]) -> list[FakeFrame]:
    return [
        maker.make(n, frames[i := maker.place(n)[0]], frames[min(i + 1, len(frames) - 1)]) for n in range(maker.total)
    ]


def values(frames: list[FakeFrame]) -> list[float]:
    return [float(frame[1][4, 4]) for frame in frames]


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("factor", [Fraction(2), Fraction(5, 2), Fraction(3), Fraction(1), Fraction(2400, 1001)])
def test_any_time_is_made_exactly_where_it_lies(factor, kind):
    model = AnyTime()
    maker = Maker(Network(model), factor, count=4)
    frames = made(maker, [FakeFrame(k / 4, kind) for k in range(4)])
    assert len(frames) == int(4 * factor) and {frame[0].dtype.type for frame in frames} == {kind}
    expected = [min(n / factor, 3) / 4 for n in range(maker.total)]
    np.testing.assert_allclose(values(frames), [float(value) for value in expected], atol=0.005)
    assert all(0 < t < 1 for t in model.times)


def test_weights_that_make_the_middle_alone_are_halved():
    maker = Maker(Network(Average()), Fraction(3), count=3, depth=2)
    frames = made(maker, [FakeFrame(k / 2) for k in range(3)])
    np.testing.assert_allclose(values(frames), np.array([0, 0.25, 0.75, 1, 1.25, 1.75, 2, 2, 2]) / 2, atol=1e-6)


def test_frames_in_another_order_are_the_same():
    frames = [FakeFrame(k / 4) for k in range(4)]
    forward, backward = (Maker(Network(Average()), Fraction(4), count=4) for _ in range(2))
    expected = values(made(forward, frames))
    places = [backward.place(n)[0] for n in range(16)]
    got = [backward.make(n, frames[places[n]], frames[min(places[n] + 1, 3)]) for n in reversed(range(16))]
    assert values(got)[::-1] == expected


@pytest.mark.parametrize("obeys", [True, False])
def test_frames_are_repeated_before_another_scene_which_is_marked_once(obeys):
    props = [{"_SceneChangeNext": 0, "_SceneChangePrev": 0}, {"_SceneChangeNext": 1, "_SceneChangePrev": 0},
             {"_SceneChangeNext": 0, "_SceneChangePrev": 1}]  # fmt: skip
    frames = [FakeFrame(k / 2, **props[k]) for k in range(3)]
    out = made(Maker(Network(AnyTime()), Fraction(2), count=3, obeys_scenes=obeys), frames)
    assert values(out) == pytest.approx([0, 0.25, 0.5, 0.5 if obeys else 0.75, 1, 1])
    assert [frame.props["_SceneChangeNext"] for frame in out] == [0, 0, 0, 1, 0, 0]
    assert [frame.props["_SceneChangePrev"] for frame in out] == [0, 0, 0, 0, 1, 0]


def test_durations_add_up_also_where_the_rate_varies():
    lasts = [Fraction(1, 24), Fraction(1, 12), Fraction(1, 24), Fraction(1, 30)]
    starts = [float(sum(lasts[:k])) for k in range(4)]
    frames = [
        FakeFrame(k / 4, _DurationNum=last.numerator, _DurationDen=last.denominator, _AbsoluteTime=start)
        for k, (last, start) in enumerate(zip(lasts, starts, strict=True))
    ]
    out = made(Maker(Network(AnyTime()), Fraction(5, 2), count=4), frames)
    durations = [Fraction(frame.props["_DurationNum"], frame.props["_DurationDen"]) for frame in out]
    assert sum(durations) == sum(lasts) and durations[0] == Fraction(1, 60)
    assert durations[2] == lasts[0] / 5 + lasts[1] / 5
    np.testing.assert_allclose(
        [frame.props["_AbsoluteTime"] for frame in out], [float(sum(durations[:n])) for n in range(10)]
    )
    bare = made(Maker(Network(AnyTime()), Fraction(2), count=2), [FakeFrame(0), FakeFrame(1)])
    assert all("_DurationNum" not in frame.props for frame in bare)


def test_a_rate_is_a_factor_of_the_clip_s():
    assert find_factor(Fraction(2), fps=Fraction(60), rate=Fraction(24000, 1001)) == Fraction(1001, 400)
    assert find_factor(Fraction(5, 2), fps=None, rate=None) == Fraction(5, 2)
    with pytest.raises(ValueError, match="fps_num needs a clip of constant rate; give factor_num"):
        find_factor(Fraction(2), fps=Fraction(60), rate=None)
    with pytest.raises(ValueError, match="multiplier must be at least 1"):
        find_factor(Fraction(2), fps=Fraction(12), rate=Fraction(24))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "vapoursynth", None)
    with pytest.raises(
        MissingPackageError, match=r"the VapourSynth filter \(on Python 3.12 or newer\) needs the package"
    ):
        vsfunc(None)


def clip_of(format_name: str | None = "RGBS", frames: int = 3, width: int = 64) -> SimpleNamespace:
    kind = SimpleNamespace(name=format_name) if format_name else None
    return SimpleNamespace(format=kind, width=width, num_frames=frames, fps_num=24, fps_den=1)


@pytest.mark.parametrize(
    ("clip", "options", "message"),
    [(clip_of("YUV420P8"), {}, "takes a clip of RGBS or RGBH, got YUV420P8; convert it first"),
     (clip_of(None), {}, "got a format or size that changes"), (clip_of(width=0), {}, "a format or size that changes"),
     (clip_of(frames=1), {}, "at least two frames"), (clip_of(), {"factor_den": 0}, "factor_den must be at least 1"),
     (clip_of(), {"fps_num": 60, "fps_den": 0}, "fps_den must be at least 1"),
     (clip_of(), {"factor_num": 1, "factor_den": 2}, "multiplier must be at least 1"),
     (clip_of(), {"depth": 11}, "depth must be from 1 to 10, got 11")],
)  # fmt: skip
def test_what_the_filter_does_not_take_is_said(monkeypatch, clip, options, message):
    monkeypatch.setitem(sys.modules, "vapoursynth", SimpleNamespace())
    with pytest.raises(ValueError, match=message):
        vsfunc(clip, **options)


@pytest.fixture
def vs():
    return pytest.importorskip("vapoursynth")


def real_clip(vs, name: str = "RGBS", length: int = 5):
    """Frame k is k / 8 everywhere, but for a darker left half."""
    blank = vs.core.std.BlankClip(
        format=getattr(vs, name), width=64, height=48, length=length, fpsnum=24000, fpsden=1001
    )

    def fill(n, f):
        made = f.copy()
        for plane in range(3):
            np.asarray(made[plane])[:] = n / 8
            np.asarray(made[plane])[:, :32] = n / 16
        return made

    return blank.std.ModifyFrame(blank, fill)


@pytest.mark.extra
@pytest.mark.parametrize("name", ["RGBS", "RGBH"])
@pytest.mark.parametrize(
    ("options", "rate", "length"),
    [({}, Fraction(48000, 1001), 10), ({"factor_num": 1}, Fraction(24000, 1001), 5),
     ({"factor_num": 5, "factor_den": 2}, Fraction(60000, 1001), 12),
     ({"fps_num": 60}, Fraction(60), 12)],
)  # fmt: skip
def test_a_real_clip_is_interpolated(vs, name, options, rate, length):
    out = vsfunc(real_clip(vs, name), model=AnyTime(), device="cpu", **options)
    assert (out.num_frames, Fraction(out.fps_num, out.fps_den), out.format.name) == (length, rate, name)
    for n, frame in enumerate(out.frames()):
        at = min(n * Fraction(24000, 1001) / rate, 4)
        assert abs(np.asarray(frame[1])[20, 60] - float(at) / 8) < 0.002
        assert Fraction(frame.props["_DurationNum"], frame.props["_DurationDen"]) == 1 / rate


@pytest.mark.extra
def test_a_real_clip_with_scenes_and_the_shipped_weights(vs):
    clip = real_clip(vs)
    marked = clip.std.FrameEval(lambda n: clip.std.SetFrameProps(_SceneChangeNext=int(n == 1)))
    out = list(vsfunc(marked, device="cpu").frames())
    np.testing.assert_array_equal(np.asarray(out[3][0]), np.asarray(out[2][0]))
    assert np.asarray(out[2][0])[20, 60] < np.asarray(out[4][0])[20, 60]
    between = np.asarray(out[5][0])
    assert 2 / 8 < between[20, 60] < 3 / 8 and torch.isfinite(torch.from_numpy(between.copy())).all()
