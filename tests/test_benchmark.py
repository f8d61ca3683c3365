"""The benchmark runner and its script: same scores however the images are shared out, and nothing bad goes unsaid."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from PIL import Image

import utils
from benchmark import Vimeo90K as script
from benchmark.metrics import psnr, ssim
from benchmark.report import describe_machine, format_table, write_report
from benchmark.runner import Results, Scores, evaluate
from datasets.triplets import TripletDataset, Vimeo90K
from models import WaveletVFI, waveletvfi

SIZES = [(32, 48), (32, 48), (40, 50), (32, 48), (32, 48)]  # the third needs padding and a batch of its own
ALONE = utils.Process(0, 1, 0, torch.device("cpu"))


class Average(WaveletVFI):
    """A network whose frame is the average of its inputs; where img0's first pixel is `broken`, it is NaN."""

    broken = math.nan

    def interpolate_details(self, img0, img1, *, ratio=None, budget=None):
        output = super().interpolate_details(img0, img1, ratio=ratio, budget=budget)
        frame = (img0 + img1) / 2
        frame[img0[:, 0, 0, 0] == self.broken] = math.nan
        return output._replace(frame=frame)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Five triplets of noise in the Vimeo90K layout."""
    root, noise = tmp_path_factory.mktemp("vimeo"), np.random.default_rng(0)
    names = [f"00001/{n:04d}" for n in range(1, len(SIZES) + 1)]
    for n, (name, size) in enumerate(zip(names, SIZES, strict=True)):
        folder = root / "sequences" / name
        folder.mkdir(parents=True)
        for k in (1, 2, 3):
            pixels = noise.integers(0, 256, (*size, 3), dtype=np.uint8)
            pixels[0, 0] = 10 * n
            Image.fromarray(pixels).save(folder / f"im{k}.png")
    (root / "tri_testlist.txt").write_text("\n".join(names))
    return root


@pytest.fixture
def dataset(root):
    return Vimeo90K(root, "test")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WaveletVFI("small").eval()


@pytest.fixture
def checkpoint(tmp_path, model):
    path = tmp_path / "weights.pth"
    utils.save_checkpoint(path, {"model": model.state_dict()})
    return path


def assert_close(results, expected):
    assert results.names == expected.names
    for name, actual, wanted in zip(
        (*results.names, "mean"), (*results.images, results.mean), (*expected.images, expected.mean), strict=True
    ):
        assert actual == pytest.approx(wanted, abs=1e-4), name


def test_a_model_that_averages_scores_as_the_average(dataset):
    results = evaluate(dataset, Average("small"), process=ALONE, batch_size=2)
    assert [s.psnr for s in results.images] == [s.psnr_average for s in results.images]
    assert [s.ssim for s in results.images] == [s.ssim_average for s in results.images]
    img0, imgt, img1 = (frame[None] / 255 for frame in dataset[1])
    assert results.images[1].psnr == pytest.approx(psnr((img0 + img1) / 2, imgt).item(), abs=1e-4)
    assert results.images[1].ssim == pytest.approx(ssim((img0 + img1) / 2, imgt).item(), abs=1e-5)


def test_the_scores_of_the_model_are_those_of_its_frame(dataset, model):
    results = evaluate(dataset, model, process=ALONE, ratio=0.0)
    img0, imgt, img1 = (frame[None] / 255 for frame in dataset[2])
    frame = model.interpolate(img0, img1, ratio=0.0)
    assert results.images[2].psnr == pytest.approx(psnr(frame, imgt).item(), abs=1e-4)
    assert (results.images[2].ratio, results.names[2]) == (0.0, "00001/0003")


def test_the_mean_is_over_images_not_over_pixels(dataset, model):
    results = evaluate(dataset, model, process=ALONE)
    for field in Scores._fields:
        values = [getattr(score, field) for score in results.images]
        assert getattr(results.mean, field) == pytest.approx(sum(values) / len(SIZES))


@pytest.mark.parametrize(("batch_size", "workers"), [(2, 0), (5, 0), (3, 2)])
def test_batches_and_workers_change_nothing(dataset, model, batch_size, workers):
    expected = evaluate(dataset, model, process=ALONE, batch_size=1)
    assert_close(evaluate(dataset, model, process=ALONE, batch_size=batch_size, workers=workers), expected)


def evaluate_in_group(rank, world_size, root, checkpoint, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=world_size)
    process = utils.Process(rank, world_size, rank, torch.device("cpu"))
    results = evaluate(Vimeo90K(root, "test"), waveletvfi(checkpoint, config="small"), process=process, batch_size=2)
    torch.save([results.names, [tuple(s) for s in results.images], tuple(results.mean)], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_results_of_one(dataset, root, model, checkpoint, tmp_path):
    expected = evaluate(dataset, model, process=ALONE)
    mp.spawn(evaluate_in_group, args=(2, root, checkpoint, tmp_path), nprocs=2)
    for rank in (0, 1):
        names, images, mean = torch.load(tmp_path / f"{rank}.pt")
        assert_close(Results(names, [Scores(*score) for score in images], Scores(*mean)), expected)


def test_only_the_main_process_shows_a_bar(dataset, model, capsys):
    evaluate(dataset, model, process=ALONE)
    assert "5/5" in (shown := capsys.readouterr().err) and "average=" in shown
    other = ALONE._replace(rank=1)
    with pytest.raises(KeyError):  # the share of rank 1 of 1 process is not everything
        evaluate(dataset, model, process=other)
    assert capsys.readouterr().err == ""


def test_predictions_that_are_not_finite_are_counted_and_named_after_the_last_image(dataset, monkeypatch, capsys):
    monkeypatch.setattr(Average, "broken", torch.tensor(20.0).div(255).item())  # the third image
    with pytest.raises(
        ValueError, match=r"1 of 5 predictions hold NaN or infinite values: 00001/0003; are the weights"
    ):
        evaluate(dataset, Average("small"), process=ALONE, batch_size=2)
    assert "5/5" in capsys.readouterr().err


def test_many_broken_predictions_are_cut_at_twenty(root, monkeypatch):
    monkeypatch.setattr(Average, "broken", 0.0)
    dataset = TripletDataset(root / "sequences", ["00001/0001"] * 22, ("im1.png", "im2.png", "im3.png"))
    with pytest.raises(ValueError, match=r"22 of 22 .* 00001/0001 and 2 more;"):
        evaluate(dataset, Average("small"), process=ALONE, batch_size=22)


def test_an_empty_dataset_is_refused(root, model):
    with pytest.raises(ValueError, match="holds no triplet"):
        evaluate(TripletDataset(root, [], ("a", "b", "c")), model, process=ALONE)


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"workers": -1}])
def test_impossible_options_are_refused(dataset, model, option):
    with pytest.raises(ValueError, match="batch_size must be >= 1 and workers >= 0, got"):
        evaluate(dataset, model, process=ALONE, **option)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_frame_is_one_line_with_its_name(tmp_path, model, workers):
    names = [f"im{k}.png" for k in (1, 2, 3)]
    for name in names:
        (tmp_path / name).write_text("no image")
    with pytest.raises(ValueError, match=r"^[^\n]*im1.png is not an image that Pillow reads$"):
        evaluate(TripletDataset(tmp_path, ["."], tuple(names)), model, process=ALONE, workers=workers)


def test_the_table_has_a_row_for_the_model_and_one_for_the_average():
    table = format_table(Scores(35.58, 0.978, 28.79456, 0.91626, 0.0, 1.0, 89.868, 43.21), model="weights.pth")
    header, model_row, average_row = table.splitlines()
    assert header.split() == ["PSNR", "(dB)", "SSIM", "GMACs", "(as", "published)", "(executed)"]
    assert model_row.split() == ["weights.pth", "35.580", "0.9780", "89.87", "43.21"]
    assert average_row.split() == ["average", "of", "the", "two", "frames", "28.795", "0.9163", "-", "-"]


def test_a_perfect_frame_is_written_as_a_string(tmp_path, checkpoint):
    perfect = Scores(math.inf, 1.0, 30.0, 0.9, 0.0, 1.0, 2.0, 1.0)
    path = tmp_path / "new" / "report.json"
    write_report(path, Results(["a"], [perfect], perfect), checkpoint=checkpoint, device=ALONE.device, ratio=0.0)
    report = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert float(report["mean"]["psnr"]) == math.inf and report["images"][0]["psnr"] == "inf"


def test_the_machine_is_described_by_what_numbers_depend_on():
    machine = describe_machine(torch.device("cpu"))
    assert machine["torch"] == torch.__version__ and machine["threads"] == torch.get_num_threads()
    assert machine["device"] == "cpu"


def test_the_script_writes_a_report_that_says_how_it_came_about(root, checkpoint, tmp_path, capsys, monkeypatch):
    output = tmp_path / "made" / "report.json"
    arguments = f"--data-root {root} --checkpoint {checkpoint} --config small --ratio 0.001 --batch-size 2 --device cpu"
    monkeypatch.setattr(sys, "argv", ["benchmark/Vimeo90K.py", *arguments.split(), "--output", str(output)])
    script.main(script.parse_args())
    report = json.loads(output.read_text())
    assert report["command"] == ["Vimeo90K.py", *sys.argv[1:]]
    assert report["checkpoint"]["file"] == "weights.pth" and len(report["checkpoint"]["sha256"]) == 64
    assert report["ratio"] == 0.001 and report["machine"]["device"] == "cpu"
    assert [image["name"] for image in report["images"]] == [f"00001/{n:04d}" for n in range(1, 6)]
    printed = capsys.readouterr().out
    assert f"{report['mean']['psnr']:.3f}" in printed and f"{report['mean']['psnr_average']:.3f}" in printed


def test_without_a_checkpoint_the_default_one_is_used(root, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "default_checkpoint", lambda: checkpoint)
    output = tmp_path / "report.json"
    script.main(script.parse_args(["--data_root", str(root), "--config", "small", "--output", str(output)]))
    assert json.loads(output.read_text())["checkpoint"]["file"] == "weights.pth"


def test_a_folder_as_output_is_refused_before_anything_is_computed(tmp_path):
    with pytest.raises(ValueError, match=r"--output .* is a folder; name a file in it"):
        script.main(script.parse_args(["--data_root", str(tmp_path), "--output", str(tmp_path)]))


@pytest.mark.parametrize("ratio", ["-0.1", "nan", "inf"])
def test_an_impossible_ratio_is_refused_on_the_command_line(ratio, capsys):
    with pytest.raises(SystemExit):
        script.parse_args(["--data_root", "somewhere", f"--ratio={ratio}"])
    assert f"argument --ratio: must be finite and >= 0, got {ratio}" in capsys.readouterr().err


def test_the_script_runs_as_a_file_from_any_folder(tmp_path):
    command = [sys.executable, script.__file__, "--data_root", "nowhere"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("error: no folder at nowhere; the Vimeo90K layout is needed")
