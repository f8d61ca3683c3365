"""The trainer: both stages, resuming, and several processes."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from clips import make_clip, square
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train_vimeo90k
import training.trainer
import utils
from models import CONFIGS, WaveletVFI
from models.losses import Loss

ROOT = Path(__file__).parent.parent
TINY = dataclasses.replace(
    CONFIGS["small"], encoder=(4, 4, 4, 4), decoder=(4, 4, 4, 4), context=(4, 4, 4, 4), synthesis=(4, 4, 4, 4)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Clips to train on, triplets to validate on, and weights of a tiny network."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "clips").mkdir()
    make_clip(folder / "clips" / "a.mp4", [square(i) for i in range(10)])
    sequence = folder / "val" / "sequences" / "00001" / "0001"
    sequence.mkdir(parents=True)
    for i in range(3):
        Image.fromarray(square(2 * i)).save(sequence / f"im{i + 1}.png")
    (folder / "val" / "tri_testlist.txt").write_text("00001/0001\n")
    torch.manual_seed(0)
    state = {"model": WaveletVFI(TINY).state_dict(), "config": dataclasses.asdict(TINY)}
    utils.save_checkpoint(folder / "tiny.pth", state)
    return folder


def arguments(data, out, *extra):
    """A run of 2 epochs of 4 steps."""
    paths = f"--data_root {data}/clips --val_root {data}/val --init_from {data}/tiny.pth --out {out}"
    options = "--epochs 2 --batch_size 2 --crop_size 32 --workers 0 --device cpu --log_every 1"
    return [*paths.split(), *options.split(), *extra]


def train(data, out, *extra):
    train_vimeo90k.main(train_vimeo90k.parse_args(arguments(data, out, *extra)))
    return utils.load_checkpoint(out / "last.pth")


def assert_same(ours, expected):
    """Two checkpoints are equal bit for bit, but for names of files and seconds."""
    assert ours["position"][:3] == expected["position"][:3]
    for name, weight in expected["model"].items():
        assert torch.equal(ours["model"][name], weight), name
    for key, slot in expected["optimizer"]["state"].items():
        for name, value in slot.items():
            assert torch.equal(ours["optimizer"]["state"][key][name], value), (key, name)


@pytest.mark.parametrize("dynamic", ["false", "true"])
def test_a_run_interrupted_in_mid_epoch_and_resumed_equals_one_that_was_not(data, tmp_path, monkeypatch, dynamic):
    whole = train(data, tmp_path / "whole", "--dynamic", dynamic)
    step = training.Trainer.step

    def interrupted(trainer, frames):
        if trainer.position.step == 3:
            raise KeyboardInterrupt
        return step(trainer, frames)

    monkeypatch.setattr(training.Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "cut", "--dynamic", dynamic, "--save_minutes", "0")
    monkeypatch.undo()
    last = tmp_path / "cut" / "last.pth"
    assert utils.load_checkpoint(last)["position"][:3] == (0, 3, 3)
    resumed = train(data, tmp_path / "cut", "--dynamic", dynamic, "--resume", str(last))
    assert_same(resumed, whole)


def test_static_training_lowers_the_loss_and_leaves_the_classifier_alone(data, tmp_path):
    start = utils.load_checkpoint(data / "tiny.pth")["model"]
    end = train(data, tmp_path, "--epochs", "6", "--lr_start", "1e-3")["model"]
    for name, weight in end.items():
        assert torch.equal(weight, start[name]) == ("classifier" in name), name
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("loss/reconstruction")]
    assert sum(losses[-6:]) < sum(losses[:6])
    rates = [event.value for event in events.Scalars("schedule/learning_rate")]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(1e-3)
    assert {"validation/psnr", "validation/cost", "validation/share/ratio_0"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"]


def test_the_dynamic_stage_trains_the_classifier_and_anneals_the_temperature(data, tmp_path):
    start = utils.load_checkpoint(data / "tiny.pth")["model"]
    end = train(data, tmp_path, "--dynamic", "true", "--epochs", "4")["model"]
    assert not torch.equal(start["motion.classifier.linear.2.weight"], end["motion.classifier.linear.2.weight"])
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    temperatures = [event.value for event in events.Scalars("schedule/temperature")]
    assert temperatures == pytest.approx([1.0] * 4 + [0.5] * 4 + [0.4] * 8)


def test_the_temperature_reaches_the_model(data, tmp_path, monkeypatch):
    seen = []
    select = WaveletVFI._select_ratios

    def spy(model, logits, ratio, temperature):
        seen.append(temperature)
        return select(model, logits, ratio, temperature)

    monkeypatch.setattr(WaveletVFI, "_select_ratios", spy)
    train(data, tmp_path, "--dynamic", "true", "--epochs", "4")
    assert [t for t in seen if t is not None] == pytest.approx([1.0] * 4 + [0.5] * 4 + [0.4] * 8)


def test_the_warm_up_trains_motion_alone(data, tmp_path):
    start = utils.load_checkpoint(data / "tiny.pth")["model"]
    end = train(data, tmp_path, "--flow_warmup", "1")["model"]
    changed = {name.split(".")[0] for name in start if not torch.equal(start[name], end[name])}
    assert changed == {"motion"}


def test_a_time_limit_plans_the_schedule(data, tmp_path):
    state = train(data, tmp_path, "--time_limit", "0.02", "--epochs", "1")
    assert state["position"][3] >= 1.2


def run(command):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "launcher",
    [
        "torch.distributed.launch --nproc_per_node=2 train_vimeo90k.py --world_size 2",
        pytest.param("torch.distributed.run --nproc_per_node=2 train_vimeo90k.py", marks=pytest.mark.slow),
    ],
)
def test_two_processes_end_with_the_weights_of_one_on_the_same_global_batch(data, tmp_path, launcher):
    alone = train(data, tmp_path / "alone", "--epochs", "1")["model"]
    options = arguments(data, tmp_path / "both", "--epochs", "1", "--batch_size", "1")
    done = run([sys.executable, "-m", *launcher.split(), *options])
    assert done.returncode == 0, done.stderr[-2000:]
    both = utils.load_checkpoint(tmp_path / "both" / "last.pth")["model"]
    for name, weight in alone.items():
        torch.testing.assert_close(both[name], weight, atol=1e-5, rtol=1e-3)


def test_the_published_flags_are_understood():
    published = "--world_size 4 --epochs 300 --batch_size 6 --lr_start 1e-4 --lr_end 1e-5"
    args = train_vimeo90k.parse_args(published.split())
    assert (args.world_size, args.epochs, args.batch_size, args.dynamic) == (4, 300, 6, False)
    for text, value in (("true", True), ("True", True), ("false", False)):
        assert train_vimeo90k.parse_args(["--dynamic", text]).dynamic is value
    assert train_vimeo90k.parse_args(["--data-root", "x"]).data_root == "x"
    with pytest.raises(SystemExit):
        train_vimeo90k.parse_args(["--dynamic", "perhaps"])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--world_size", "4"], "--world_size 4, but 1 process"),
        (["--crop_size", "40"], "multiple of 16, got 40"),
        (["--epochs", "0"], "--epochs must be positive"),
        (["--batch_size", "0"], "--batch_size must be positive"),
        (["--val_root", ""], "give other triplets to validate on"),
        (["--data_root", "nowhere"], "nowhere"),
        (["--init_from", "nothing.pth"], r"no checkpoint at nothing\.pth"),
        (["--init_from", "", "--config", "huge"], "config must be one of"),
        (["--crop_size", "64", "--epochs", "1"], "does not fit"),
    ],
)
def test_wrong_options_are_named(data, tmp_path, extra, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(data, tmp_path, *extra)


def test_resuming_with_another_batch_size_or_from_weights_alone_is_refused(data, tmp_path):
    train(data, tmp_path, "--epochs", "1")
    with pytest.raises(ValueError, match="was made with --batch_size 2, not 3"):
        train(data, tmp_path, "--batch_size", "3", "--resume", str(tmp_path / "last.pth"))
    with pytest.raises(ValueError, match="holds weights alone; use --init_from"):
        train(data, tmp_path, "--resume", str(tmp_path / "best.pth"))


def test_a_loss_that_is_not_a_number_stops_the_run(data, tmp_path, monkeypatch):
    def broken(output, imgt):
        return Loss(*[output.frame.sum() * torch.nan] * 4)

    monkeypatch.setattr(training.trainer, "training_loss", broken)
    with pytest.raises(ValueError, match="the loss became nan at step 0; resume from"):
        train(data, tmp_path)


def test_the_dynamic_stage_without_static_weights_is_warned_of(data, tmp_path, capsys):
    with pytest.raises(FileNotFoundError):
        train(data, tmp_path, "--dynamic", "--init_from", "", "--data_root", "nowhere")
    assert "starts from static weights" in capsys.readouterr().out
