"""The speed benchmark: what it compares are the same frames, its parts make up the whole, and its files can be read."""

import json
import math
import time

import pytest
import torch
from helpers.reference import known_state_dict
from helpers.runs import finish, launch
from PIL import Image

import utils
from benchmark import speed as script
from benchmark import training_speed
from benchmark.measure import timing
from benchmark.measure.network import NetworkPath, Setting, find_ratios, load_frames, measure_network
from benchmark.measure.results import describe, format_tables
from models import default_checkpoint, waveletvfi

CPU = torch.device("cpu")
SIZE = (64, 48)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Two files: a smooth texture with fine noise, and the same moved by two pixels."""
    folder = tmp_path_factory.mktemp("frames")
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(130.0), indexing="ij")
    texture = 0.5 + 0.3 * torch.stack([torch.sin(x / (4 + c)) * torch.cos(y / (5 - c)) for c in range(3)])
    texture = (texture + 0.05 * torch.randn_like(texture)).clamp(0, 1)
    files = (folder / "a.png", folder / "b.png")
    for file, left in zip(files, (0, 2), strict=True):
        utils.write_image(file, texture[..., left : left + 128])
    return files


@pytest.fixture(scope="module")
def rows(frames):
    threads = torch.get_num_threads()  # which the measurement sets for the whole process
    setting = Setting(default_checkpoint(), frames=frames, threads=threads, repeats=1, parts=True, memory=False)
    return measure_network(setting, [NetworkPath("auto"), NetworkPath("folded", "bf16")], [SIZE, (32, 32)], [1, 0.5])


@pytest.fixture(params=["base", "small"])
def network(request, tmp_path):
    if request.param == "small":
        return waveletvfi(default_checkpoint())
    utils.save_checkpoint(tmp_path / "base.pth", {"model": known_state_dict()})
    return waveletvfi(tmp_path / "base.pth", config="base")


def test_there_is_a_row_for_every_path_at_every_size_and_cost(rows):
    cases = [(row.size, row.asked, row.path) for row in rows]
    paths = ("masked", "auto", "folded:bf16")
    assert cases == [(size, cost, path) for size in (SIZE, (32, 32)) for cost in (1, 0.5) for path in paths]
    first, parts = format_tables(rows).split("\n\n")
    for table in (first, parts):
        lines = table.splitlines()
        assert len(lines) == 2 + len(rows) and len({line.count("|") for line in lines}) == 1
        assert [line.split(" | ")[2] for line in lines[2:]] == [row.path for row in rows]


def test_the_published_formula_is_the_measure(rows):
    for row in rows:
        if row.path == "masked":
            assert (row.relative, row.difference, row.psnr, row.saved) == (1, 0, math.inf, None)
            published = row
        assert row.relative == row.seconds / published.seconds
        assert row.path != "auto" or (row.difference < 1e-4 and row.cost == pytest.approx(published.cost, abs=0.02))
        assert row.psnr > 20
        assert row.fixed * published.executed_gmacs < row.executed_gmacs <= published.executed_gmacs


def test_time_saved_is_set_against_operations_saved(rows):
    published, auto = rows[0], rows[1]
    operations = 1 - auto.executed_gmacs / published.executed_gmacs
    assert auto.saved == pytest.approx((1 - auto.seconds / published.seconds) / operations)


def test_the_parts_make_up_the_whole(rows):
    for row in rows:  # measured once, so that the medians are of one call
        parts = [row.parts[name] for name in timing.PARTS]
        assert all(part > 0 for part in parts) and sum(parts) == pytest.approx(row.parts["whole"])


def test_a_part_that_takes_longer_is_found(monkeypatch, frames):
    network = waveletvfi(default_checkpoint())
    images = load_frames(frames, SIZE, CPU)
    expected = network.interpolate(*images)
    forward = network.synthesis.low_head.forward
    monkeypatch.setattr(network.synthesis.low_head, "forward", lambda x: (time.sleep(0.3), forward(x))[1])
    (parts,) = timing.interleaved_parts([network], lambda n: n.interpolate(*images), repeats=1)
    assert max(timing.PARTS, key=parts.get) == "level 4" and parts["level 4"] > 0.3
    monkeypatch.undo()
    own = [name for module in network.modules() for name, value in vars(module).items() if callable(value)]
    assert not {"forward", "fine", "perceive"} & set(own)
    torch.testing.assert_close(network.interpolate(*images), expected)


def test_calls_take_turns_after_an_untimed_round():
    said = []
    calls = [lambda: (said.append("a"), time.sleep(0.02)), lambda: said.append("b")]
    slow, fast = timing.interleaved_medians(calls, repeats=3, warmup=1)
    assert "".join(said) == "abababab" and slow > 0.02 > fast


def test_the_ratio_found_costs_what_was_asked_for(network, frames):
    images = load_frames(frames, (128, 96), CPU)
    ratios = find_ratios(network, *images, [1, 0.6, 0.2])
    costs = [network.interpolate_details(*images, ratio=ratio).candidates[0].cost.item() for ratio in ratios]
    assert ratios[0] == 0 and ratios == sorted(ratios)
    assert costs == pytest.approx([1, 0.6, 0.2], abs=0.03)


def test_a_cost_that_cannot_be_reached_is_told_with_the_one_that_was(rows):
    missed = rows[0]._replace(asked=0.5, cost=0.31)
    assert "| 0.310 (asked 0.5) |" in format_tables([missed]) and "(asked" not in format_tables([rows[0]])


def test_cpu_time_does_not_count_what_others_take(frames):
    (waited,) = timing.interleaved_medians([lambda: time.sleep(0.2)], repeats=1, warmup=0, clock=time.process_time)
    assert waited < 0.1
    setting = Setting(default_checkpoint(), frames=frames, threads=1, repeats=1, memory=False, cpu_time=True)
    assert "medians of CPU time of 1 interleaved calls" in describe(setting)


def test_memory_grows_by_what_a_call_writes():
    """In a new process, as the benchmark does: of an old one, the system may take pages back in the meantime."""
    code = "from benchmark.measure.timing import MIB, memory_growth\n"
    code += "print(memory_growth(lambda: bytearray(b'1') * (200 * MIB)), memory_growth(lambda: None))"
    grown, nothing = map(float, finish(launch("-c", code)).split())
    assert 199 < grown < 230
    assert nothing < 20


def test_memory_is_measured_where_the_system_cannot_start_its_mark_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(timing, "RESET", tmp_path / "no" / "such file")
    already = timing._highest_resident() // timing.MIB
    grown = timing.memory_growth(lambda: bytearray(b"1") * ((already + 200) * timing.MIB))
    assert grown > 199


def test_without_named_frames_those_of_an_installed_clip_are_used():
    img0, img1 = load_frames((), SIZE, CPU)
    assert img0.shape == img1.shape == (1, 3, 48, 64) and 0.01 < (img0 - img1).abs().mean() < 0.2


def test_the_script_writes_tables_numbers_and_a_plot(frames, tmp_path, capsys):
    files, out = " ".join(map(str, frames)), tmp_path / "made" / "here"
    arguments = f"--network --sizes 32x32 --costs 0.5 --paths masked --threads {torch.get_num_threads()} --repeats 1"
    script.main(script.parse_args(f"{arguments} --plot --frames {files} --output {out}".split()))
    report = json.loads((out / "speed.json").read_text(), parse_constant=pytest.fail)
    (row,) = report["rows"]
    assert (row["path"], row["psnr"], row["relative_memory"]) == ("masked", "inf", 1) and row["memory"] > 0
    assert len(report["checkpoint"]["sha256"]) == 64
    assert report["frames"] == ["a.png", "b.png"] and report["machine"]["device"] == "cpu"
    assert (out / "table.md").read_text() == capsys.readouterr().out
    with Image.open(out / "speed.png") as image:
        assert image.format == "PNG" and image.convert("L").getextrema() < (100, 256)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--paths nonsense", r"METHOD one of auto, folded, gather, masked, triton"),
        ("--paths auto:int8", r"PRECISION one of float32, bf16, fp16; got 'auto:int8'"),
        ("--paths auto:", r"got 'auto:'"),
        ("--sizes 448", r"argument --sizes: must be WIDTHxHEIGHT in pixels, such as 448x256, got '448'"),
        ("--sizes 0x256", r"got '0x256'"),
        ("--costs 0", r"argument --costs: must be above 0 and at most 1, got 0"),
        ("--costs 1.2", r"got 1.2"),
        ("--costs nan", r"got nan"),
        ("--costs half", r"got half"),
        ("--repeats 0", r"argument --repeats: must be a whole number above 0, got '0'"),
        ("--threads -1", r"got '-1'"),
        ("--frames a.png", r"argument --frames: expected 2 arguments"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        script.parse_args(["--network", *arguments.replace(" -", "=-", 1).split()])
    assert message in capsys.readouterr().err


def test_nothing_to_measure_is_said(capsys):
    with pytest.raises(SystemExit):
        script.parse_args([])
    assert "nothing to measure: give --network, --tool, --tune or --wavelets" in capsys.readouterr().err


def test_missing_frames_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image at .*none\.png"):
        load_frames((tmp_path / "none.png", tmp_path / "none.png"), SIZE, CPU)


def test_frames_of_two_sizes_are_refused(frames, tmp_path):
    utils.write_image(tmp_path / "other.png", torch.zeros(3, 20, 30))
    with pytest.raises(ValueError, match="both frames must have one size, got 128x96 and 30x20"):
        load_frames((frames[0], tmp_path / "other.png"), SIZE, CPU)


@pytest.mark.parametrize(
    ("device", "path", "message"),
    [
        ("cpu", NetworkPath("triton"), "the path triton needs triton and a CUDA GPU, got cpu; leave it out"),
        ("cpu", NetworkPath("auto", "fp16"), "precision fp16 needs a GPU"),
        ("meta", NetworkPath("auto"), "times are measured on cpu or cuda, got meta"),
    ],
)
def test_a_path_that_the_device_does_not_have_is_refused(device, path, message, monkeypatch):
    monkeypatch.setattr("benchmark.measure.network.is_available", lambda device: False)  # nor is it being interpreted
    setting = Setting(default_checkpoint(), device=torch.device(device), threads=torch.get_num_threads())
    with pytest.raises(ValueError, match=message):
        measure_network(setting, [path], [SIZE], [1])


def test_training_is_timed_beside_the_plain_way_which_gives_the_same_loss(capsys):
    training_speed.main(
        training_speed.parse_args(
            ["--config", "small", "--crop_size", "32", "--batch_size", "1", "--repeats", "1", "--threads", "1"]
        )
    )
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    stages = [row[:2] for row in rows[1:]]
    assert stages == [[stage, way] for stage in ("static", "dynamic") for way in training_speed.WAYS]
    for stage in ("static", "dynamic"):
        losses = {row[1]: float(row[4]) for row in rows if row[0] == stage}
        assert losses["float32"] == pytest.approx(losses["plain"], abs=2e-5)
        assert losses["bf16"] == pytest.approx(losses["plain"], rel=2e-2)


def test_impossible_sizes_of_training_are_refused(capsys):
    with pytest.raises(SystemExit):
        training_speed.parse_args(["--crop_size", "40"])
    assert "numbers must be positive, and --crop_size a multiple of 16" in capsys.readouterr().err
