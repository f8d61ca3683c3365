"""The report: cost, ratio and cuts over time, and pairs as the network saw them."""

from fractions import Fraction
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from helpers.clips import Average, make_clip, square
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image, ImageFont

import interpolate
from video import Options, convert, describe
from video.convert import summarise
from video.picture import DPI, HEIGHT, MARGIN, choose_times, draw_calls, read_pairs, wrapped, write_report
from video.write.job import Record

pytest.importorskip("torchvision")


@pytest.fixture
def clip(tmp_path) -> Path:
    images = [square(k, 96, 128) for k in range(6)] + [255 - square(k, 96, 128) for k in range(6)]
    return make_clip(tmp_path / "clip.mp4", images, rate=Fraction(24))


@pytest.fixture
def drawn(monkeypatch) -> list:
    """What is drawn: (x values, y values) of lines, x of vertical lines."""
    seen, plot, line = [], Axes.plot, Axes.axvline
    monkeypatch.setattr(Axes, "plot", lambda self, *xy, **o: seen.append(xy[:2]) or plot(self, *xy, **o))
    monkeypatch.setattr(Axes, "axvline", lambda self, x, **o: seen.append(x) or line(self, x, **o))
    return seen


def test_a_report_shows_every_call_every_cut_and_three_pairs(clip, tmp_path, small, drawn, monkeypatch):
    monkeypatch.setattr("video.picture.PANEL", 100)
    options = Options(ratio=0.02)
    summary = convert([clip], tmp_path / "out.mp4", small, options)
    write_report(tmp_path / "report.png", summary, [clip], small, options)
    calls = [call for record in summary.records for call in record.calls]
    times = [call[0] for call in calls]
    assert times == pytest.approx([(k + 0.5) / 24 for k in range(11) if k != 5]) and summary.cuts == [6 / 24]
    assert drawn == [(times, [c[1] for c in calls]), 6 / 24, (times, [c[2] for c in calls]), 6 / 24]
    with Image.open(tmp_path / "report.png") as image:
        assert image.width == 380 and image.height > HEIGHT * DPI + 3 * 2 * 75
    assert "1 cut held" in describe(summary)


def test_nothing_is_drawn_at_the_edge_and_everything_in_one_typeface(clip, tmp_path, small, monkeypatch):
    faces = set()
    truetype = ImageFont.truetype
    monkeypatch.setattr(ImageFont, "truetype", lambda path, size: faces.add(Path(path).name) or truetype(path, size))
    name = "a_name_that_takes_more_than_one_line_" * 5
    summary = convert([clip], tmp_path / f"{name}.mp4", small, Options(ratio=0.02))
    write_report(tmp_path / "report.png", summary, [clip], small, Options(ratio=0.02))
    pixels = np.asarray(Image.open(tmp_path / "report.png"))
    border = np.ones(pixels.shape[:2], bool)
    border[MARGIN // 2 : -MARGIN // 2, MARGIN // 2 : -MARGIN // 2] = False
    assert (pixels[border] == 255).all()
    assert faces == {"DejaVuSans.ttf"} and matplotlib.rcParams["font.sans-serif"][0] == "DejaVu Sans"


@pytest.mark.parametrize("length", [10, 300])
def test_the_title_stands_above_the_drawing(length):
    calls = [[0.1, 1.0, 0.0005, 1.0, 1.0], [0.2, 0.0, None, 0.0, 1.0]]
    summary = summarise([Record(frames=3, calls=calls)], output=Path("a_" * length), seconds=1.0, damage=None)
    figure = draw_calls(summary, calls, 2000)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    title = figure._suptitle.get_window_extent()
    assert title.y0 >= max(axes.get_tightbbox().y1 for axes in figure.axes)
    assert title.x0 >= MARGIN and title.x1 <= 2000 and title.y1 <= HEIGHT * DPI - MARGIN / 2


def test_text_is_broken_between_words_or_where_it_must_be():
    font = ImageFont.load_default(size=16)
    for text in ("white: details computed, 100% of positions", "one_word_that_is_far_too_long_for_its_line", ""):
        for width in (60, 100, 1000):
            lines = wrapped(text, font, width)
            assert "".join(lines).replace(" ", "") == text.replace(" ", "")
            assert all(font.getlength(line) <= width for line in lines)
    assert wrapped("a b", font, 1000) == ["a b"] and wrapped("", font, 10) == [""]


def test_pairs_are_the_dearest_of_each_third_and_read_in_one_pass(clip):
    costs = [0.1, 0.3, 0.2, 0.0, 0.5, 0.5, 0.1, 0.9, 0.2]
    records = [Record(calls=[[(k + 0.5) / 24, cost, 0.0, 1.0, 1.0]]) for k, cost in enumerate(costs)]
    times = choose_times(records)
    assert times == [1.5 / 24, 4.5 / 24, 7.5 / 24]
    pairs = list(read_pairs([clip], Options(), times))
    assert [(float(a.time), float(b.time)) for a, b in pairs] == [(k / 24, (k + 1) / 24) for k in (1, 4, 7)]
    assert choose_times([Record()]) == []


def test_a_model_without_costs_has_no_report(clip, tmp_path):
    summary = convert([clip], tmp_path / "out.mp4", Average())
    with pytest.raises(ValueError, match="nothing was computed whose cost is known"):
        write_report(tmp_path / "report.png", summary, [clip], Average(), Options())
    assert not (tmp_path / "report.png").exists()


@pytest.mark.parametrize(
    ("images", "options", "text"),
    [
        ([square(0)] * 6, Options(), "nothing moves, so no ratio was needed"),
        ([square(0)] * 6, Options(multiplier=1), "nothing was computed: all frames are the input's"),
        ([square(0), 255 - square(0), square(0)], Options(multiplier=1, scene_threshold=0), "nothing was computed"),
    ],
    ids=["still", "nothing to make", "cuts"],
)
def test_where_nothing_moves_or_nothing_is_made_the_report_says_so(tmp_path, small, monkeypatch, images, options, text):
    written = []
    write = Axes.text
    monkeypatch.setattr(Axes, "text", lambda self, x, y, s, **o: written.append(s) or write(self, x, y, s, **o))
    source = make_clip(tmp_path / "a.mkv", images)
    summary = convert([source], tmp_path / "out.mp4", small, options)
    write_report(tmp_path / "report.png", summary, [source], small, options)
    assert len(written) == 1 and written[0].startswith(text)
    with Image.open(tmp_path / "report.png") as image:
        assert image.height == HEIGHT * DPI


def test_a_report_beside_y4m_is_named_on_standard_error(clip, tmp_path, small, monkeypatch, capfdbinary):
    monkeypatch.setattr("interpolate.network", lambda args, device: small)
    arguments = ["--output", "-", "--report", str(tmp_path / "report.png"), "--seconds", "0.1", "--ratio", "0"]
    interpolate.main(interpolate.parse_args([str(clip), *arguments, "--device", "cpu"]))
    out, err = capfdbinary.readouterr()
    assert out.startswith(b"YUV4MPEG2 ") and b"report.png" not in out and b"report.png\n" in err


def test_a_model_without_costs_is_refused_a_report_before_the_work(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("interpolate.network", lambda args, device: Average())
    arguments = [
        str(clip),
        "--output",
        str(tmp_path / "out.mp4"),
        "--report",
        str(tmp_path / "r.png"),
        "--device",
        "cpu",
    ]
    with pytest.raises(ValueError, match=r"does not report the cost of its frames; leave --report out, or use a \.pth"):
        interpolate.main(interpolate.parse_args([*arguments, "--checkpoint", "model.onnx"]))
    assert not (tmp_path / "out.mp4").exists()
