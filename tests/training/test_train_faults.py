"""What may happen to a run that people leave alone: kills, signals, full disks, broken files, numbers that explode."""

import errno
import itertools
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.runs import arguments, assert_same, children_of, finish, launch, make_data, scalars, train, wait_for

import train_vimeo90k
import training.stages
import training.trainer
import utils
from models import WaveletVFI
from training import checkpoints
from training.trainer import Trainer

EVERY_STEP = ["--save_minutes", "0"]
EVERYTHING = "--accumulate 2 --batch_size 1 --precision bf16 --ema 0.9 --flow_warmup 0.5 --lr_warmup 6"
VARIANTS = {"dynamic": "--dynamic true", "everything": EVERYTHING}
with_everything = pytest.mark.parametrize("undisturbed", ["everything"], indirect=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"), validation=2)


@pytest.fixture(scope="module", params=VARIANTS)
def undisturbed(request, data, tmp_path_factory):
    """The flags of a run, its last checkpoint and its losses."""
    out, flags = tmp_path_factory.mktemp("undisturbed"), VARIANTS[request.param].split()
    return flags, train(data, out, *flags), scalars(out, "loss/total")


def at_step(monkeypatch, number, happens):
    """Let something happen right before step `number` of a run in this process."""
    step = Trainer.step

    def disturbed(trainer, batches):
        if trainer.position.step == number:
            happens()
        return step(trainer, batches)

    monkeypatch.setattr(Trainer, "step", disturbed)


def state(value):
    return {"model": {"w": torch.full((3,), float(value))}, "step": value}


@pytest.mark.parametrize("number", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 4, 5, 6, 7))])
def test_a_run_killed_at_any_step_and_resumed_equals_one_that_was_not(data, tmp_path, monkeypatch, undisturbed, number):
    flags, whole, losses = undisturbed

    def kill():
        raise MemoryError

    at_step(monkeypatch, number, kill)
    with pytest.raises(MemoryError):
        train(data, tmp_path, *flags, *EVERY_STEP)
    monkeypatch.undo()
    resumed = train(data, tmp_path, *flags, "--resume", "auto")
    assert_same(resumed, whole)
    assert scalars(tmp_path, "loss/total") == losses


@pytest.mark.slow
@with_everything
def test_a_process_killed_by_sigkill_resumes_from_its_last_checkpoint(data, tmp_path, undisturbed):
    flags, whole, losses = undisturbed
    script = f"""
import os, signal, sys
import train_vimeo90k
from training.trainer import Trainer
step = Trainer.step
def killed(trainer, batches):
    if trainer.position.step == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(trainer, batches)
Trainer.step = killed
train_vimeo90k.main(train_vimeo90k.parse_args({arguments(data, tmp_path, *flags, *EVERY_STEP)!r}))
"""
    finish(launch("-c", script), -signal.SIGKILL)
    resumed = train(data, tmp_path, *flags, "--resume", str(tmp_path))
    assert_same(resumed, whole)
    assert scalars(tmp_path, "loss/total") == losses


@with_everything
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_the_step_finish_and_saves(data, tmp_path, monkeypatch, capsys, undisturbed, number, status):
    flags, whole, losses = undisturbed
    before = signal.getsignal(number)
    at_step(monkeypatch, 2, lambda: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit) as caught:
        train(data, tmp_path, *flags)
    assert caught.value.code == status
    assert f"stopped by {number.name} and saved at step 3" in capsys.readouterr().out
    assert signal.getsignal(number) == before
    monkeypatch.undo()
    assert utils.load_checkpoint(tmp_path / "last.pth")["position"]["step"] == 3
    assert_same(train(data, tmp_path, *flags, "--resume", str(tmp_path / "last.pth")), whole)
    assert scalars(tmp_path, "loss/total") == losses


@with_everything
def test_a_signal_during_validation_leaves_it_and_it_is_done_after_resuming(data, tmp_path, monkeypatch, undisturbed):
    flags, whole, _ = undisturbed
    details = WaveletVFI.interpolate_details

    def signalled(model, *frames, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return details(model, *frames, **options)

    monkeypatch.setattr(WaveletVFI, "interpolate_details", signalled)
    with pytest.raises(SystemExit):
        train(data, tmp_path, *flags)
    monkeypatch.undo()
    position = utils.load_checkpoint(tmp_path / "last.pth")["position"]
    assert (position["step"], position["validated"]) == (4, 0)
    assert_same(train(data, tmp_path, *flags, "--resume", "auto"), whole)
    assert len(scalars(tmp_path, "validation/psnr")) == 2


@pytest.mark.parametrize("to_each", [False, True])
def test_a_signal_to_all_processes_of_a_run_saves_too_and_no_worker_stays(data, tmp_path, to_each):
    """What torchrun and Ctrl-C in a terminal do to the group, and a scheduler to each of its processes."""
    run = launch("train_vimeo90k.py", *arguments(data, tmp_path, "--epochs", "9999", "--workers", "2"), session=True)
    wait_for(lambda: (tmp_path / "train.log").is_file() and "step 2:" in (tmp_path / "train.log").read_text())
    workers = children_of(run.pid)
    assert len(workers) == 2
    for process in (*map(int, workers), run.pid) if to_each else (-run.pid,):
        os.kill(process, signal.SIGTERM)
    assert "stopped by SIGTERM and saved at step" in finish(run, 143)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    last = utils.load_checkpoint(tmp_path / "last.pth")
    assert last["position"]["step"] >= 2


def test_a_second_signal_ends_the_run_at_once(data, tmp_path, monkeypatch):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # else the system may join the two
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    at_step(monkeypatch, 2, twice)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)


@with_everything
def test_resuming_a_finished_run_changes_nothing(data, tmp_path, undisturbed):
    flags, whole, _ = undisturbed
    train(data, tmp_path, *flags)
    assert_same(train(data, tmp_path, *flags, "--resume", "auto"), whole)


def test_auto_starts_afresh_where_there_is_nothing_and_a_used_folder_is_not_overwritten(data, tmp_path):
    first = train(data, tmp_path, "--epochs", "1", "--resume", "auto")
    assert first["position"]["step"] == 4
    with pytest.raises(ValueError, match=r"holds a run already \(last\.pth\); continue it with --resume auto"):
        train(data, tmp_path, "--epochs", "1")


def test_the_last_checkpoints_stay_and_last_is_the_newest(data, tmp_path):
    train(data, tmp_path, *EVERY_STEP, "--keep", "2")
    names = sorted(path.name for path in tmp_path.glob("*.pth"))
    assert names == ["best.pth", "last.pth", "step_00000007.pth", "step_00000008.pth"]
    assert (tmp_path / "last.pth").samefile(tmp_path / "step_00000008.pth")


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    weights = bytes(next(iter(torch.load(path, weights_only=True)["model"].values())).untyped_storage())
    content = bytearray(path.read_bytes())
    content[content.index(weights) + len(weights) // 2] ^= 1
    path.write_bytes(content)


def spoil(part):
    def change(path):
        state = torch.load(path, weights_only=True)
        tensors = state[part] if part != "optimizer" else state[part]["state"][0]
        next(value for value in tensors.values() if value.is_floating_point() and value.dim()).fill_(torch.nan)
        utils.save_checkpoint(path.with_name("changed.pth"), state)
        path.write_bytes(path.with_name("changed.pth").read_bytes())

    return change


DAMAGES = {
    "cut": (cut, "is not a checkpoint"),
    "flipped bit": (flip_a_bit, "does not fit its checksum"),
    **{part: (spoil(part), rf"holds NaN or infinite numbers \({part}") for part in ("model", "optimizer", "average")},
}


@with_everything
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(data, tmp_path, undisturbed, damage):
    flags, whole, losses = undisturbed
    change, reason = DAMAGES[damage]
    train(data, tmp_path, *flags, *EVERY_STEP)
    change(tmp_path / "last.pth")  # a hard link: step_00000008.pth as well
    with pytest.warns(UserWarning, match=rf"last\.pth .*{reason}.* going on from .*step_00000007\.pth"):
        resumed = train(data, tmp_path, *flags, "--resume", str(tmp_path / "last.pth"))
    assert_same(resumed, whole)
    assert scalars(tmp_path, "loss/total") == losses


def test_checkpoints_that_cannot_be_read_or_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint \(last\.pth, step_\*\.pth\) in"):
        checkpoints.load_newest(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*last\.pth"):
        checkpoints.load_newest(tmp_path / "last.pth")
    for step in (1, 2):
        checkpoints.save(tmp_path, state(step), step=step, keep=3)
        (tmp_path / f"step_0000000{step}.pth").write_bytes(b"zeros")
    with pytest.raises(ValueError, match=r"no checkpoint can be read: .*last\.pth.*step_00000001\.pth"):
        checkpoints.load_newest(tmp_path)


def test_the_newest_checkpoint_is_the_one_written_last(tmp_path):
    for number, step in enumerate((5, 9, 6)):  # went back from 9 to 5, then on
        checkpoints.save(tmp_path, state(step), step=step, keep=3)
        os.utime(tmp_path / f"step_0000000{step}.pth", ns=(0, number))
    assert [path.name for path in checkpoints.list_newest(tmp_path)] == [
        "last.pth",
        "step_00000009.pth",
        "step_00000005.pth",
    ]
    (tmp_path / "last.pth").unlink()
    assert checkpoints.load_newest(tmp_path)[1]["step"] == 6


def test_a_file_system_without_hard_links_gets_a_copy(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EPERM, "not supported")

    monkeypatch.setattr(os, "link", unsupported)
    checkpoints.save(tmp_path, state(1), step=1, keep=1)
    assert utils.load_checkpoint(tmp_path / "last.pth")["step"] == 1
    assert not (tmp_path / "last.pth").samefile(tmp_path / "step_00000001.pth")


def test_a_full_disk_ends_the_run_with_the_old_checkpoint_in_place(data, tmp_path, monkeypatch):
    save, saved = torch.save, []

    def full(content, file):
        saved.append(file)
        if len(saved) < 4:
            return save(content, file)
        file.write(b"half")
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 30905728 vs 30905648")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"cannot write .*step_00000004\.pth: No space left on device"):
        train(data, tmp_path, *EVERY_STEP)
    assert checkpoints.load_newest(tmp_path)[1]["position"]["step"] == 3
    assert not list(tmp_path.glob(".*"))


def test_what_a_killed_writer_left_is_removed(data, tmp_path):
    (tmp_path / ".step_00000003.abc.part.pth").write_bytes(b"half")
    train(data, tmp_path, "--epochs", "1")
    assert not list(tmp_path.glob(".*.part.pth"))


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_skipped_and_counted(data, tmp_path, monkeypatch, where):
    loss_of, calls = training.stages.loss_of, []

    def broken(output, *rest):
        calls.append(None)
        loss = loss_of(output, *rest)
        if len(calls) not in (2, 3):
            return loss
        # The square root has an infinite gradient at 0, and a finite value.
        return loss._replace(
            total=loss.total * torch.nan if where == "loss" else loss.total + 0 * (0 * loss.total).sqrt()
        )

    monkeypatch.setattr(training.trainer, "loss_of", broken)
    end = train(data, tmp_path, "--epochs", "1")
    assert (end["position"]["step"], end["position"]["skipped"], end["position"]["skipped_in_row"]) == (4, 2, 0)
    assert all(weight.isfinite().all() for weight in (*end["model"].values(), *end["average"].values()))
    assert {int(slot["step"]) for slot in end["optimizer"]["state"].values()} == {2}
    assert int(end["average"]["n_averaged"]) == 2


def test_many_steps_in_a_row_that_are_not_finite_end_the_run(data, tmp_path, monkeypatch):
    loss_of, calls = training.stages.loss_of, []

    def broken(output, *rest):
        calls.append(None)
        loss = loss_of(output, *rest)
        return loss._replace(total=loss.total * torch.nan) if len(calls) > 2 else loss

    monkeypatch.setattr(training.trainer, "loss_of", broken)
    message = r"3 steps in a row, up to step 5, .* \(loss nan, gradient norm nan\); last good checkpoint: .*last\.pth"
    with pytest.raises(ValueError, match=message):
        train(data, tmp_path, "--max_bad_steps", "3", *EVERY_STEP)
    last = utils.load_checkpoint(tmp_path / "last.pth")
    assert all(weight.isfinite().all() for weight in last["model"].values())


def test_gradients_are_limited_to_the_norm_asked_for(data, tmp_path, monkeypatch):
    norms = []
    update = Trainer._update

    def spy(trainer, done):
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in trainer.model.parameters() if p.grad is not None]))
        assert done.gradient_norm > norms[-1]
        return update(trainer, done)

    monkeypatch.setattr(Trainer, "_update", spy)
    train(data, tmp_path, "--epochs", "1", "--clip_norm", "1e-3")
    assert [float(norm) for norm in norms] == pytest.approx([1e-3] * 4, rel=1e-2)


def test_a_resumed_run_keeps_what_its_exactness_rests_on(data, tmp_path):
    train(data, tmp_path, "--epochs", "1")
    for flags in (["--accumulate", "2"], ["--precision", "bf16"], ["--ema", "0"], ["--seed", "1"]):
        with pytest.raises(ValueError, match=rf"was made with {flags[0]} .* not {flags[1]}.*; a resumed run keeps it"):
            train(data, tmp_path, *flags, "--resume", "auto")


def test_a_time_limit_survives_an_interruption(data, tmp_path, monkeypatch):
    """With a clock that advances 0.1 s whenever it is read."""
    clock = itertools.count()
    slow_clock = SimpleNamespace(monotonic=lambda: next(clock) / 10)
    monkeypatch.setattr(training.trainer, "time", slow_clock)
    flags = ["--time_limit", "0.03", "--accumulate", "2"]
    at_step(monkeypatch, 5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit):
        train(data, tmp_path, *flags)
    monkeypatch.undo()
    monkeypatch.setattr(training.trainer, "time", slow_clock)
    before = utils.load_checkpoint(tmp_path / "last.pth")["position"]
    after = train(data, tmp_path, *flags, "--resume", "auto")["position"]
    assert before["seconds"] < 1.8 <= after["seconds"]
    rates = scalars(tmp_path, "schedule/learning_rate")
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == after["step"]
    assert after["validated"] == after["step"]
    train_vimeo90k.main(train_vimeo90k.parse_args(arguments(data, tmp_path, *flags, "--resume", "auto")))
