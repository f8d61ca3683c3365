"""The scripts of the benchmark sets: several weights, peers, several sets, failures, and wrong options."""

import importlib
import json
import pathlib
import re

import pytest
import torch
from helpers import benchmark_trees as trees
from helpers.runs import finish, launch, make_data, run_benchmark

import datasets
import utils
from benchmark import SNU_FILM as snu_film_script
from benchmark import UCF101 as ucf101_script
from benchmark import Vimeo90K as script
from benchmark import command
from waveletvfi.__main__ import SETS


@pytest.fixture
def no_page(monkeypatch):
    """What takes longest is left out."""
    monkeypatch.setattr(command, "write_page", lambda *args, **options: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three triplets of 48x64 and weights of a tiny network."""
    return make_data(tmp_path_factory.mktemp("data"), validation=3)


@pytest.mark.usefixtures("no_page")
def test_several_checkpoints_and_peers_stand_in_one_table(data, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    torch.manual_seed(5)
    state = utils.load_checkpoint(data / "tiny.pth")
    state["model"] = {name: torch.randn_like(value) / 10 for name, value in state["model"].items()}
    utils.save_checkpoint(tmp_path / "other/tiny.pth", state)
    (tmp_path / "my_peer.py").write_text("def second(img0, img1):\n    return img1\n")
    monkeypatch.chdir(tmp_path)
    paths = [data / "tiny.pth", tmp_path / "other/tiny.pth"]
    report = run_benchmark(data, tmp_path, "--checkpoint", *map(str, paths), "--ratio", "0", "--peer", "my_peer:second")
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
    assert "UCF101: 1 not scored: 1 (" in caplog.text
    assert "<h2>Not scored</h2>" in (tmp_path / "out/UCF101/report.html").read_text()


#: Of every script: the tree it reads, further arguments, and the titles of the sets it opens.
SCRIPTS = {
    "Vimeo90K": (trees.vimeo90k_septuplet, "", ["Vimeo90K-septuplet"]),
    "UCF101": (trees.ucf101, "", ["UCF101"]),
    "SNU_FILM": (trees.snu_film, "--modes hard", ["SNU-FILM-hard"]),
    "Xiph": (trees.xiph, "", ["Xiph-2K", "Xiph-4K"]),
    "ATD12K": (trees.atd12k, "", ["ATD12K"]),
    "Middlebury": (trees.middlebury, "", ["Middlebury"]),
    "HD": (trees.hd, "", ["HD"]),
    "XTest": (trees.x_test, "--sizes 4K 2K", ["X-TEST-4K", "X-TEST-2K"]),
    "GoPro": (trees.gopro, "--crop 0", ["GoPro"]),
    "Adobe240": (trees.adobe240, "", ["Adobe240"]),
    "Folder": (trees.gopro, "--multiplier 8", ["data-x8"]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_evaluates_its_sets(name, tmp_path, monkeypatch):
    build, options, titles = SCRIPTS[name]
    build(tmp_path / "data")
    module, seen = importlib.import_module(f"benchmark.{name}"), []
    monkeypatch.setattr(command, "run", lambda args, sets: seen.extend(sets))
    module.main(module.parse_args(["--data_root", str(tmp_path / "data"), *options.split()]))
    assert [dataset.title for dataset in seen] == titles
    assert all(len(dataset) for dataset in seen)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_help_of_every_script_tells_what_to_download_and_its_layout(name, capsys):
    with pytest.raises(SystemExit):
        importlib.import_module(f"benchmark.{name}").parse_args(["--help"])
    dataset = getattr(datasets, {"Vimeo90K": "Vimeo90KTest", "SNU_FILM": "SNUFilm"}.get(name, name))
    assert f"Data: {dataset.source}\nLayout: {dataset.layout}\n" in capsys.readouterr().out


def test_all_scripts_are_tested():
    folder = pathlib.Path(command.__file__).parent
    scripts = {path.stem for path in folder.glob("*.py") if "from benchmark.command import" in path.read_text()}
    assert scripts == set(SCRIPTS) == set(SETS)


@pytest.mark.usefixtures("no_page")
def test_each_mode_of_a_set_has_a_report_of_its_own(data, tmp_path):
    trees.snu_film(tmp_path)
    lists = tmp_path / "SNU-FILM/eval_modes"
    (lists / "test-easy.txt").write_text((lists / "test-hard.txt").read_text())
    arguments = (
        f"--data_root {tmp_path} --modes easy hard --checkpoint {data}/tiny.pth --device cpu --output {tmp_path}/out"
    )
    snu_film_script.main(snu_film_script.parse_args(arguments.split()))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"SNU-FILM-easy", "SNU-FILM-hard"}


@pytest.mark.usefixtures("no_page")
def test_without_a_checkpoint_the_default_one_is_used(data, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "default_checkpoint", lambda: data / "tiny.pth")
    script.main(script.parse_args(["--data_root", str(data / "val"), "--output", str(tmp_path), "--device", "cpu"]))
    assert "tiny.pth, auto" in (tmp_path / "Vimeo90K/table.md").read_text()


@pytest.mark.usefixtures("no_page")
def test_a_budget_is_kept_by_every_image(data, tmp_path):
    ours = run_benchmark(data, tmp_path, "--budget", "0.3")["rows"][0]
    assert ours["name"] == "tiny.pth, budget 0.3" and all(image["cost"] <= 0.3 for image in ours["images"])


@pytest.mark.usefixtures("no_page")
def test_half_is_bf16_on_a_cpu(data, tmp_path):
    assert run_benchmark(data, tmp_path, "--half", "--ratio", "0")["precision"] == "bf16"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--ratio=-0.1", "argument --ratio: must be finite and >= 0, got -0.1"),
        ("--sweep 0,fast", "argument --sweep: ratios >= 0 and auto are needed, got 'fast'"),
        ("--sweep 0,-1", "argument --sweep: ratios >= 0 and auto are needed, got '-1'"),
        ("--sweep 0,inf", "argument --sweep: ratios >= 0 and auto are needed, got 'inf'"),
        ("--sweep 0,0.0", "argument --sweep: give every ratio once, got 0,0.0"),
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
def test_two_processes_write_the_report_of_one_whatever_fails(data, tmp_path):
    root = trees.noise_triplets(tmp_path / "data", [(32, 48), (33, 47), (32, 48), (32, 48)])
    (root / "sequences/00001/0003/im1.png").unlink()
    options = f"--data_root {root} --checkpoint {data}/tiny.pth --device cpu --sweep 0,1e-3,auto --output {tmp_path}"
    torchrun = ("-m", "torch.distributed.run", "--nproc_per_node=2")
    finish(launch(*torchrun, script.__file__, *options.split(), PYTHONPATH=""), status=1)
    assert (tmp_path / "Vimeo90K/report.html").is_file()
    with pytest.raises(SystemExit, match="3"):
        script.main(script.parse_args([*options.split(), "--output", str(tmp_path / "alone")]))
    ours, wanted = (json.loads((tmp_path / run / "Vimeo90K/report.json").read_text()) for run in ("", "alone"))
    assert ours["failures"] == wanted["failures"] and len(ours["failures"]) == 1
    for row, other in zip(ours["rows"], wanted["rows"], strict=True):
        assert [image["name"] for image in row["images"]] == [image["name"] for image in other["images"]]
        for image, expected in zip((*row["images"], row["mean"]), (*other["images"], other["mean"]), strict=True):
            assert image["psnr"] == pytest.approx(expected["psnr"], abs=1e-4)
