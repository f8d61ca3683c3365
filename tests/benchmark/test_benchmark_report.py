"""What a benchmark leaves behind: tables, files and the page, and the scripts that write them."""

import base64
import csv
import io
import json
import math
from html.parser import HTMLParser

import pytest
import torch
from helpers import benchmark_trees as trees
from helpers.runs import make_data, run_benchmark
from PIL import Image

from benchmark import Folder as folder_script
from benchmark.plots import choose, draw_tradeoff, has_tradeoff
from benchmark.scores import Failure, Results, Row, Scores
from benchmark.tables import (
    COLUMNS,
    PUBLISHED,
    describe_machine,
    format_failures,
    format_markdown,
    format_perfect,
    format_table,
    table,
    write_report,
)

CPU = torch.device("cpu")
OURS = Scores(35.58, 0.978, 35.571, 1.5, ratio=0.0, cost=1.0, gmacs=89.868, executed_gmacs=43.21, ms=12.34)
PLAIN = Scores(28.79456, 0.91626, 28.78, 6.4)


def results_of(*rows, failures=(), title="Vimeo90K"):
    rows = [Row(name, {"a": scores} if scores else {}, scores, memory) for name, scores, memory in rows]
    return Results(title, ["a"], rows, list(failures))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three triplets of 48x64 and weights of a tiny network."""
    return make_data(tmp_path_factory.mktemp("data"), validation=3)


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory):
    """The folder of a sweep, and its report."""
    output = tmp_path_factory.mktemp("swept")
    return output / "Vimeo90K", run_benchmark(data, output, "--sweep", "0,1e-3,auto", "--batch_size", "2")


def test_the_table_has_a_row_for_everything_and_empty_cells_for_what_is_not_known():
    lines = table(results_of(("weights.pth, auto", OURS, 123.4), ("average of the two frames", PLAIN, None)))
    headings, ours, plain = lines
    assert dict(zip(headings, ours, strict=True)) == {
        "": "weights.pth, auto",
        "frames": "1",
        "PSNR (dB)": "35.580",
        "SSIM": "0.9780",
        "8-bit PSNR": "35.571",
        "IE": "1.500",
        "GMACs": "89.87",
        "executed": "43.21",
        "ms per pair": "12.3",
        "memory (MiB)": "123",
    }
    assert plain[:4] == ["average of the two frames", "1", "28.795", "0.9163"] and plain[-4:] == [""] * 4
    shown = format_table(lines).splitlines()
    assert len({line.index(cell) + len(cell) for line, cell in zip(shown, ("IE", "1.500", "6.400"), strict=True)}) == 1
    assert format_markdown(lines).splitlines()[2].startswith("| weights.pth, auto | 1 | 35.580 |")


@pytest.mark.parametrize(("field", "heading"), [(column.field, column.heading) for column in COLUMNS])
def test_a_column_is_there_where_one_row_has_a_value_and_else_not(field, heading):
    bare = Scores(*[None] * len(Scores._fields))
    memory = 30.0 if field == "memory" else None
    known = bare if field == "memory" else bare._replace(**{field: 30.0})
    lines = table(results_of(("bare", bare, None), ("ours", known, memory)))
    assert lines[0] == ["", "frames", heading]
    assert lines[1][2] == "" and float(lines[2][2]) == 30


def test_a_row_without_a_single_frame_is_empty():
    lines = table(results_of(("ours", OURS, None), ("broken", None, None)))
    assert lines[2] == ["broken", "0", *[""] * (len(lines[0]) - 2)]


def test_published_figures_stand_beside_a_complete_set_only():
    results = results_of(("ours", OURS, None))
    assert len(table(results)) == 2
    lines = table(results, complete=True)
    assert len(lines) == 2 + len(PUBLISHED["Vimeo90K"])
    assert lines[2][:4] == ["WaveletVFI (published)", "", "35.58", "0.978"]
    assert len(table(results._replace(title="UCF101"), complete=True)) == 2


def test_failures_are_counted_and_the_first_twenty_named():
    failures = [Failure(f"image {n}", "ours" if n else "", "why") for n in range(22)]
    text = format_failures(results_of(("ours", OURS, None), failures=failures))
    assert text.startswith("22 not scored: image 0 (why); image 1 by ours (why); ")
    assert text.endswith("image 19 by ours (why); and 2 more") and "image 20" not in text
    assert format_failures(results_of(("ours", OURS, None))) == ""


def test_a_perfect_frame_is_written_as_a_string(tmp_path):
    perfect = OURS._replace(psnr=math.inf, psnr8=math.inf)
    write_report(tmp_path / "new", results_of(("ours", perfect, None)), {})
    report = json.loads((tmp_path / "new/report.json").read_text(), parse_constant=pytest.fail)
    assert report["rows"][0]["mean"]["psnr"] == "inf" == report["rows"][0]["images"][0]["psnr8"]


def test_infinite_means_are_told_with_what_they_are_without_perfect_frames():
    perfect = PLAIN._replace(psnr=math.inf)
    images = {"a": PLAIN, "b": perfect, "c": PLAIN._replace(psnr=PLAIN.psnr + 2)}
    text = format_perfect(
        Results("", list(images), [Row("ours", images, perfect), Row("other", {"a": PLAIN}, PLAIN)], [])
    )
    assert text.endswith(f"infinite: ours, PSNR (dB): 1, without them {PLAIN.psnr + 1:.3f}")
    assert format_perfect(results_of(("ours", perfect, None))).endswith("ours, PSNR (dB): 1, without them nothing")
    assert format_perfect(results_of(("ours", OURS, None))) == ""


def test_perfect_frames_and_single_ratios_can_be_drawn():
    rows = [Row("ours, ratio 0", {}, OURS._replace(psnr=math.inf)), Row("ours, auto", {}, OURS._replace(gmacs=3.0))]
    assert draw_tradeoff({"ours": rows}, {}).count("<svg") == 1
    assert draw_tradeoff({"ours": rows[:1]}, {}).endswith("</svg>\n")


def test_rows_at_one_place_share_a_label():
    rows = [Row(f"ours, ratio {ratio}", {}, OURS) for ratio in (0, 0.001)] + [Row("ours, auto", {}, OURS)]
    texts = Page(draw_tradeoff({"ours": rows}, {})).texts
    assert "0, 0.001" in texts and "auto" in texts and "0.001" not in texts


def test_one_dot_alone_is_not_drawn_and_a_peer_is_something_to_compare_with():
    ours, peer = Row("ours, auto", {}, OURS), Row("peer:middle", {}, PLAIN)
    perfect = Row("ours, ratio 0", {}, OURS._replace(psnr=math.inf))
    assert not has_tradeoff({"ours": [ours]}, {}) and not has_tradeoff({}, {"peer:middle": peer})
    assert not has_tradeoff({"ours": [perfect]}, {}) and not has_tradeoff({"ours": [perfect]}, {"p": perfect})
    assert has_tradeoff({"ours": [ours, ours]}, {}) and has_tradeoff({"ours": [ours]}, {"peer:middle": peer})
    drawing = draw_tradeoff({"ours": [ours]}, {"peer:middle": peer})
    assert "peer:middle (operations not known)" in drawing and "<!-- ours -->" not in drawing


def test_the_machine_is_described_by_what_numbers_depend_on():
    machine = describe_machine(CPU)
    assert machine["torch"] == torch.__version__ and machine["threads"] == torch.get_num_threads()
    assert machine["device"] == "cpu"


def test_the_report_says_how_it_came_about_and_has_every_image(swept, data):
    folder, report = swept
    assert report["set"] == "Vimeo90K" and report["samples"] == 3 and report["failures"] == []
    (weights,) = report["checkpoints"]
    assert weights["file"] == "tiny.pth" and len(weights["sha256"]) == 64
    assert report["precision"] == "float32" and report["machine"]["device"] == "cpu" and report["command"]
    names = [f"tiny.pth, {what}" for what in ("ratio 0", "ratio 0.001", "auto")] + ["average of the two frames"]
    assert [row["name"] for row in report["rows"]] == names
    assert [image["name"] for image in report["rows"][0]["images"]] == [f"00001/{n:04d}" for n in (1, 2, 3)]
    executed = [row["mean"]["executed_gmacs"] for row in report["rows"][:3]]
    assert executed[0] > 0 and executed[1:] == [None, None]  # of a sweep, what ratio 0 computes alone is known
    lines = list(csv.DictReader((folder / "images.csv").open()))
    assert len(lines) == 4 * 3 and float(lines[0]["psnr"]) == report["rows"][0]["images"][0]["psnr"]
    assert len((folder / "table.md").read_text().splitlines()) == 2 + 4


class Page(HTMLParser):
    """Texts, addresses and open tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_needs_no_other_file_and_shows_tables_drawings_and_frames(swept):
    page = Page((swept[0] / "report.html").read_text())
    assert not page.open
    outside = [address for address in page.addresses if not address.startswith(("data:image/webp;base64,", "#"))]
    assert outside == []
    assert "url(http" not in (swept[0] / "report.html").read_text()
    assert {"Means", "Accuracy against operations", "Ratios chosen by the network", "The 3 worst", "Typical"} <= set(
        page.texts
    )
    pictures = [address for address in page.addresses if address.startswith("data:")]
    assert len(pictures) == (3 + 3) * 6  # inputs, prediction, truth, error, flow, masks
    for picture in pictures[:6]:
        assert Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).size == (64, 48)
    for label in ("0.001", "auto", "PSNR (dB)"):
        assert any(label in text for text in page.texts)


def test_all_methods_but_the_average_are_in_the_plot_and_in_the_pictures(data, tmp_path):
    run_benchmark(data, tmp_path, "--peer", "operator:mul", "--peer", "torch:minimum", "--ratio", "0")
    page = Page((tmp_path / "Vimeo90K/report.html").read_text())
    assert not page.open
    assert "Accuracy against operations" in page.texts
    assert sum("operator:mul (operations not known)" in text for text in page.texts) == 1
    assert len([address for address in page.addresses if address.startswith("data:")]) == (3 + 3) * (6 + 2 * 2)
    for peer in ("operator:mul", "torch:minimum"):
        assert page.texts.count(peer) == 6 + 1 and page.texts.count(f"error of {peer}") == 6  # and in the table


def test_one_ratio_alone_has_no_plot_of_accuracy(data, tmp_path):
    run_benchmark(data, tmp_path, "--ratio", "0")
    assert "<svg" not in (tmp_path / "Vimeo90K/report.html").read_text()


def test_a_prediction_that_is_not_finite_has_no_picture(data, tmp_path, monkeypatch):
    (tmp_path / "broken_peer.py").write_text("def middle(img0, img1):\n    return img0 * float('nan')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit):
        run_benchmark(data, tmp_path, "--peer", "broken_peer:middle", "--ratio", "0")
    page = Page((tmp_path / "Vimeo90K/report.html").read_text())
    assert "3 not scored:" in page.texts
    assert page.texts.count("broken_peer:middle") == 1 and "error of broken_peer:middle" not in page.texts


def test_the_worst_frames_come_first_and_typical_ones_lie_around_the_median():
    images = {str(n): PLAIN._replace(psnr=float(n)) for n in (5, 3, 9, *range(10, 31))}
    worst, typical = choose(Row("ours", images, None))
    assert worst == ["3", "5", "9", *map(str, range(10, 17))]
    ranks = [sorted(images, key=int).index(name) for name in typical]
    assert ranks == [6, 12, 17]


def test_names_are_escaped(data, tmp_path, monkeypatch):
    folder = tmp_path / "<b>&clips"
    trees.plains(folder / "clip" / f"{n}.png" for n in range(5))
    arguments = ["--data_root", str(folder), "--checkpoint", str(data / "tiny.pth"), "--output", str(tmp_path / "out")]
    folder_script.main(folder_script.parse_args([*arguments, "--multiplier", "4", "--device", "cpu"]))
    text = (tmp_path / "out/<b>&clips-x4/report.html").read_text()
    assert "<b>&clips" not in text and "&lt;b&gt;&amp;clips-x4" in text
    assert "clip:0 2/4" in "".join(Page(text).texts)
