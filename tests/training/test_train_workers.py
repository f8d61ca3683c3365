"""What may happen to the processes that read training samples: each ends the run in one line, and none is left."""

import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.runs import arguments, children_of, finish, launch, make_data, wait_for
from PIL import Image
from torch.utils.data import Dataset, SequentialSampler

import utils
from datasets import Loader
from training.log import TrainingLog
from training.optimizer import Position


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """As other runs have it, and a Vimeo90K tree of noise with one image cut short."""
    folder = make_data(tmp_path_factory.mktemp("data"))
    names = [f"00001/{number:04d}" for number in range(1, 13)]
    random = np.random.default_rng(0)
    for name in names:
        sequence = folder / "tree" / "sequences" / name
        sequence.mkdir(parents=True)
        for k in (1, 2, 3):
            Image.fromarray(random.integers(0, 256, (64, 96, 3), np.uint8)).save(sequence / f"im{k}.png")
    for split in ("train", "test"):
        (folder / "tree" / f"tri_{split}list.txt").write_text("\n".join(names))
    os.truncate(folder / "tree" / "sequences" / names[6] / "im2.png", 300)
    return folder


def end_of(run, **options) -> str:
    """The only line that a failed run says of its failure."""
    lines = finish(run, 1, **options).splitlines()
    assert not any("Traceback" in line for line in lines)
    (error,) = [line for line in lines if line.lstrip("\0").startswith("error: ")]
    return error


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_corrupt_image_ends_the_run_in_one_line(data, tmp_path, workers):
    flags = ["--data_root", f"{data}/tree", "--workers", f"{workers}"]
    run = launch("train_vimeo90k.py", *arguments(data, tmp_path, *flags), session=True)
    assert "tree/sequences/00001/0007/im2.png is truncated or corrupt" in end_of(run, timeout=60)
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)


@pytest.mark.slow
def test_a_corrupt_image_of_one_process_ends_the_others_too(data, tmp_path):
    flags = arguments(data, tmp_path, "--data_root", f"{data}/tree", "--workers", "1")
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "train_vimeo90k.py", *flags)
    printed = finish(launch(*command, session=True), 1)
    ours = printed[: printed.index("torch/distributed/elastic")]  # torchrun has its own way to say it
    assert "im2.png is truncated" in ours and "Traceback" not in ours


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_ends_the_run_in_one_line_that_does_not_blame_a_file(data, tmp_path, number):
    """SIGTERM is left to the main process."""
    flags = ["--epochs", "9999", "--workers", "2", "--save_minutes", "0"]
    run = launch("train_vimeo90k.py", *arguments(data, tmp_path, *flags), session=True)
    wait_for(lambda: (tmp_path / "train.log").is_file() and "step 2:" in (tmp_path / "train.log").read_text())
    worker = int(children_of(run.pid)[0])
    os.kill(worker, number)
    if number == signal.SIGTERM:
        wait_for(lambda: "step 20:" in (tmp_path / "train.log").read_text())
        os.kill(worker, signal.SIGKILL)
    error = end_of(run, timeout=60)
    assert error.startswith(f"error: data loading process {worker} was ended by SIGKILL, as systems do when memory")
    assert utils.load_checkpoint(tmp_path / "last.pth")["position"]["step"] >= 1
    with pytest.raises(ProcessLookupError):
        os.killpg(run.pid, 0)


class Failing(Dataset):
    """Four samples, the third of which fails in a way of choice."""

    def __init__(self, how: str):
        self.how = how

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 2 and self.how == "bug":
            raise KeyError("colour")
        if index == 2 and self.how == "two\nlines":
            raise ValueError(self.how)
        if index == 2 and self.how == "end":
            os._exit(7)
        return torch.zeros(2 if index == 2 and self.how == "shape" else 1)


@pytest.mark.parametrize(
    ("how", "workers", "reason"),
    [
        *(("bug", workers, r"^KeyError: 'colour' \(test_train_workers.py, line \d+\)$") for workers in (0, 2)),
        *(("two\nlines", workers, "^two lines$") for workers in (0, 2)),
        *(("shape", workers, "^samples that do not fit together: RuntimeError") for workers in (0, 2)),
        ("end", 2, r"^data loading process \d+ exited with status 7$"),
    ],
)
def test_whatever_a_worker_fails_with_is_one_line(how, workers, reason):
    data = Failing(how)
    loader = Loader(data, 2, sampler=SequentialSampler(data), workers=workers)
    with pytest.raises((ValueError, OSError), match=reason):
        list(loader)
    loader.close()
    assert not [worker for worker in loader._workers if worker.is_alive()]


def test_a_loader_is_iterated_again_with_the_same_workers():
    data = Failing("not at all")
    loader = Loader(data, 2, sampler=SequentialSampler(data), workers=2)
    assert [batch.shape for _ in range(3) for batch in loader] == [(2, 1)] * 6
    assert len(loader._workers) == 2
    loader.close()


@pytest.mark.parametrize("where", ["tensorboard", "train.log", "step_00000001.pth"])
def test_a_full_disk_is_told_with_the_file(tmp_path, capfd, where):
    log = TrainingLog(tmp_path, (0.0,), Position())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write() -> None:
        if where == "tensorboard":
            for step in range(1000):
                log._scalar("loss", 1.0, step)
                log.flush()
        elif where == "train.log":
            log.note("a" * 10_000, show=False)
        else:
            utils.save_checkpoint(tmp_path / where, {"model": {"weight": torch.zeros(10_000)}})

    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # fails as a full disk does, for each file
        with pytest.raises(OSError, match=rf"cannot write .*{where}: File too large"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capfd.readouterr().err == ""
