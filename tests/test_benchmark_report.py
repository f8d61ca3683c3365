"""What a benchmark leaves behind: tables, files and the page, and the scripts that write them."""

import base64
import csv
import io
import json
import math
import re
import sys
from html.parser import HTMLParser

import benchmark_trees as trees
import pytest
import torch
from PIL import Image
from runs import finish, launch, make_data

import utils
from benchmark import SNU_FILM as snu_film_script
from benchmark import UCF101 as ucf101_script
from benchmark import Folder as folder_script
from benchmark import Vimeo90K as script
from benchmark import command
from benchmark.perceptual import open_perceptual
from benchmark.published import PUBLISHED
from benchmark.report import describe_machine, format_failures, format_markdown, format_table, table, write_report
from benchmark.samples import choose
from benchmark.scores import Failure, Results, Row, Scores

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


def evaluate(data, output, *options):
    arguments = f"--data_root {data}/val --checkpoint {data}/tiny.pth --device cpu --output {output}"
    args = script.parse_args([*arguments.split(), *options])
    script.main(args)
    return json.loads((output / "Vimeo90K/report.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def swept(data, tmp_path_factory):
    """The folder of a sweep, and its report."""
    output = tmp_path_factory.mktemp("swept")
    return output / "Vimeo90K", evaluate(data, output, "--sweep", "0,1e-3,auto", "--batch_size", "2")


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
        "LPIPS": "",
        "DISTS": "",
        "GMACs": "89.87",
        "executed": "43.21",
        "ms per pair": "12.3",
        "memory (MiB)": "123",
    }
    assert plain[:4] == ["average of the two frames", "1", "28.795", "0.9163"] and plain[-4:] == [""] * 4
    shown = format_table(lines).splitlines()
    assert len({line.index(cell) + len(cell) for line, cell in zip(shown, ("IE", "1.500", "6.400"), strict=True)}) == 1
    assert format_markdown(lines).splitlines()[2].startswith("| weights.pth, auto | 1 | 35.580 |")


def test_luma_has_a_column_where_it_was_measured():
    lines = table(results_of(("ours", OURS._replace(psnr_luma=30.0), None)))
    assert dict(zip(*lines, strict=True))["luma PSNR"] == "30.000"


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
    assert text.startswith("22 in no mean: image 0 (why); image 1 by ours (why); ")
    assert text.endswith("image 19 by ours (why); and 2 more") and "image 20" not in text
    assert format_failures(results_of(("ours", OURS, None))) == ""


def test_a_perfect_frame_is_written_as_a_string(tmp_path):
    perfect = OURS._replace(psnr=math.inf, psnr8=math.inf)
    write_report(tmp_path / "new", results_of(("ours", perfect, None)), {})
    report = json.loads((tmp_path / "new/report.json").read_text(), parse_constant=pytest.fail)
    assert report["rows"][0]["mean"]["psnr"] == "inf" == report["rows"][0]["images"][0]["psnr8"]


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
    assert report["rows"][0]["mean"]["executed_gmacs"] is None  # of a sweep
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


def test_several_checkpoints_and_peers_stand_in_one_table(data, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    torch.manual_seed(5)
    state = utils.load_checkpoint(data / "tiny.pth")
    state["model"] = {name: torch.randn_like(value) / 10 for name, value in state["model"].items()}
    utils.save_checkpoint(tmp_path / "other/tiny.pth", state)
    (tmp_path / "my_peer.py").write_text("def second(img0, img1):\n    return img1\n")
    monkeypatch.chdir(tmp_path)
    paths = [data / "tiny.pth", tmp_path / "other/tiny.pth"]
    report = evaluate(data, tmp_path, "--checkpoint", *map(str, paths), "--ratio", "0", "--peer", "my_peer:second")
    names = [row["name"] for row in report["rows"]]
    assert names == [f"{paths[0]}, ratio 0", f"{paths[1]}, ratio 0", "my_peer:second", "average of the two frames"]
    psnr = [row["mean"]["psnr"] for row in report["rows"]]
    assert len(set(psnr)) == 4
    assert [row["mean"]["executed_gmacs"] is None for row in report["rows"]] == [False, False, True, True]
    assert len({weights["sha256"] for weights in report["checkpoints"]}) == 2


def test_what_fails_is_in_the_report_and_the_script_ends_with_3(data, tmp_path, capsys, caplog):
    for folder in ("1", "2"):
        trees.plains(tmp_path / "ucf" / folder / name for name in ("frame_00.png", "frame_01_gt.png", "frame_02.png"))
    (tmp_path / "ucf/1/frame_02.png").write_text("no image")
    arguments = f"--data_root {tmp_path}/ucf --checkpoint {data}/tiny.pth --device cpu --output {tmp_path}/out"
    with pytest.raises(SystemExit) as stopped:
        ucf101_script.main(ucf101_script.parse_args(arguments.split()))
    assert stopped.value.code == command.INCOMPLETE == 3
    report = json.loads((tmp_path / "out/UCF101/report.json").read_text())
    (failure,) = report["failures"]
    assert failure["name"] == "1" and "is not an image" in failure["reason"]
    assert [len(row["images"]) for row in report["rows"]] == [1, 1]
    assert "UCF101: 1 in no mean: 1 (" in caplog.text
    assert "Not in the means" in (tmp_path / "out/UCF101/report.html").read_text()


def test_each_mode_of_a_set_has_a_report_of_its_own(data, tmp_path):
    trees.snu_film(tmp_path)
    lists = tmp_path / "SNU-FILM/eval_modes"
    (lists / "test-easy.txt").write_text((lists / "test-hard.txt").read_text())
    arguments = (
        f"--data_root {tmp_path} --modes easy hard --checkpoint {data}/tiny.pth --device cpu --output {tmp_path}/out"
    )
    snu_film_script.main(snu_film_script.parse_args(arguments.split()))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"SNU-FILM-easy", "SNU-FILM-hard"}


def test_without_a_checkpoint_the_default_one_is_used(data, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "default_checkpoint", lambda: data / "tiny.pth")
    script.main(script.parse_args(["--data_root", str(data / "val"), "--output", str(tmp_path), "--device", "cpu"]))
    assert "tiny.pth, auto" in (tmp_path / "Vimeo90K/table.md").read_text()


def test_half_is_bf16_on_a_cpu(data, tmp_path):
    assert evaluate(data, tmp_path, "--half", "--ratio", "0")["precision"] == "bf16"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--ratio=-0.1", "argument --ratio: must be finite and >= 0, got -0.1"),
        ("--sweep 0,fast", "argument --sweep: ratios >= 0 and auto are needed, got 'fast'"),
        ("--sweep 0,-1", "argument --sweep: ratios >= 0 and auto are needed, got '-1'"),
        ("--sweep 0,inf", "argument --sweep: ratios >= 0 and auto are needed, got 'inf'"),
        ("--sweep 0,0.0", "argument --sweep: every ratio once, got 0,0.0"),
        ("--sweep 0,auto --ratio 0", "give one of --sweep, --ratio and --budget"),
        ("--sweep 0,auto --budget 1", "give one of --sweep, --ratio and --budget"),
        ("--half --precision bf16", "give one of --half and --precision"),
        ("--output pyproject.toml", "--output pyproject.toml is a file; name a folder"),
    ],
)
def test_impossible_options_are_refused_on_the_command_line(options, message, capsys):
    with pytest.raises(SystemExit):
        script.parse_args(["--data_root", "somewhere", *options.split()])
    assert message in capsys.readouterr().err


def test_the_script_runs_as_a_file_and_a_missing_set_is_one_line(tmp_path):
    printed = finish(launch(script.__file__, "--data_root", str(tmp_path / "nowhere"), PYTHONPATH=""), status=1)
    assert re.fullmatch(r"error: no folder at .*nowhere; Vimeo90K is needed: .*\n", printed)


@pytest.mark.slow
def test_two_processes_write_the_report_of_one(data, tmp_path):
    options = (
        f"--data_root {data}/val --checkpoint {data}/tiny.pth --device cpu --sweep 0,1e-3,auto --output {tmp_path}"
    )
    finish(launch("-m", "torch.distributed.run", "--nproc_per_node=2", script.__file__, *options.split()))
    report = json.loads((tmp_path / "Vimeo90K/report.json").read_text())
    expected = evaluate(data, tmp_path / "alone", "--sweep", "0,1e-3,auto")
    for row, wanted in zip(report["rows"], expected["rows"], strict=True):
        for image, other in zip((*row["images"], row["mean"]), (*wanted["images"], wanted["mean"]), strict=True):
            assert image["psnr"] == pytest.approx(other["psnr"], abs=1e-4)
            assert image.get("name") == other.get("name")


def test_perceptual_metrics_are_left_out_with_a_reason_where_the_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", None)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.dists", None)
    found, missing = open_perceptual(CPU)
    assert found == {}
    assert [text.partition(":")[0] for text in missing] == ["LPIPS is left out", "DISTS is left out"]


class Metric(torch.nn.Module):
    """Stands for those of torchmetrics: accumulates, and returns the mean over what it was given."""

    def __init__(self, **options):
        super().__init__()
        self.options, self.total, self.count = options, 0.0, 0

    def forward(self, a, b):
        self.total, self.count = self.total + (a - b).abs().mean(), self.count + 1
        return self.total / self.count

    def reset(self):
        self.total, self.count = 0.0, 0


def test_perceptual_metrics_judge_every_image_alone_once_their_weights_are_there(tmp_path, monkeypatch):
    for module, name in (
        ("torchmetrics.image.lpip", "LearnedPerceptualImagePatchSimilarity"),
        ("torchmetrics.image.dists", "DeepImageStructureAndTextureSimilarity"),
    ):
        monkeypatch.setitem(sys.modules, module, type(sys)(module))
        setattr(sys.modules[module], name, Metric)
    for package in ("torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, package, type(sys)(package))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert [text.partition(" at ")[0] for text in open_perceptual(CPU)[1]] == [
        "LPIPS is left out: its weights are not",
        "DISTS is left out: its weights are not",
    ]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/alexnet-owt-7be5be79.pth").touch()
    found, missing = open_perceptual(CPU)
    assert list(found) == ["lpips"] and len(missing) == 1
    a, b = torch.rand(2, 3, 3, 8, 8)
    torch.testing.assert_close(found["lpips"](a, b), (a - b).abs().mean((1, 2, 3)))
