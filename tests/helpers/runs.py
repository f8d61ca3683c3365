"""Short training runs and benchmarks of a tiny network, for the tests."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

import train_vimeo90k
import utils
from benchmark import Vimeo90K
from benchmark.methods import OurNetwork
from helpers.clips import make_clip, square
from models import CONFIGS, WaveletVFI
from training.plots import read_curves

ROOT = Path(__file__).parents[2]
LAUNCHED: list[subprocess.Popen] = []
MIDDLE = dataclasses.replace(CONFIGS["small"], any_time=False, correlation=0, passes=1)  # of one pass and one time
TINY = dataclasses.replace(
    MIDDLE, encoder=(4, 4, 4, 4), decoder=(4, 4, 4, 4), context=(4, 4, 4, 4), synthesis=(4, 4, 4, 4)
)


def make_data(folder: Path, *, validation: int = 1) -> Path:
    """A clip of 8 triplets to train on, triplets to validate on, and weights of a tiny network."""
    (folder / "clips").mkdir()
    make_clip(folder / "clips" / "a.mp4", [square(i) for i in range(10)])
    names = [f"00001/{number:04d}" for number in range(1, validation + 1)]
    for offset, name in enumerate(names):
        sequence = folder / "val" / "sequences" / name
        sequence.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(square(2 * i + offset)).save(sequence / f"im{i + 1}.png")
    (folder / "val" / "tri_testlist.txt").write_text("\n".join(names))
    torch.manual_seed(0)
    state = {"model": WaveletVFI(TINY).state_dict(), "config": dataclasses.asdict(TINY)}
    utils.save_checkpoint(folder / "tiny.pth", state)
    return folder


def tiny_network(options: list[dict] | None = None, seed: int = 0) -> OurNetwork:
    """A tiny network with random weights everywhere, as a method of a benchmark."""
    torch.manual_seed(seed)
    model = WaveletVFI(TINY).eval()
    for head in (model.synthesis.low_head, *model.synthesis.high_heads):
        torch.nn.init.normal_(head.weight, std=0.01)
    return OurNetwork(model, "tiny", options or [{}], {"weights": seed})


def arguments(data: Path, out: Path, *extra: str) -> list[str]:
    """A run of 2 epochs of 4 steps; `extra` flags come last and win."""
    paths = f"--data_root {data}/clips --val_root {data}/val --init_from {data}/tiny.pth --out {out}"
    options = "--epochs 2 --batch_size 2 --crop_size 32 --workers 0 --device cpu --log_every 1 --lr_warmup 0"
    return [*paths.split(), *options.split(), *extra]


def train(data: Path, out: Path, *extra: str) -> dict:
    """Run in this process; returns the last checkpoint."""
    train_vimeo90k.main(train_vimeo90k.parse_args(arguments(data, out, *extra)))
    return utils.load_checkpoint(out / "last.pth")


def run_benchmark(data: Path, output: Path, *options: str) -> dict:
    """Evaluate the tiny network on the validation triplets in this process; returns the report."""
    arguments = f"--data_root {data}/val --checkpoint {data}/tiny.pth --device cpu --output {output}"
    Vimeo90K.main(Vimeo90K.parse_args([*arguments.split(), *options]))
    return json.loads((output / "Vimeo90K/report.json").read_text())


def launch(*command: str, prefix: tuple[str, ...] = (), session: bool = False, **environment: str) -> subprocess.Popen:
    """Start Python with `command` in the repository's root; `prefix` comes before Python; `session`: of its own."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": session}
    process = subprocess.Popen([*prefix, sys.executable, *command], cwd=ROOT, env=variables, **options)
    LAUNCHED.append(process)
    return process


def end_launched() -> None:
    """Kill what a test that failed has left running."""
    while LAUNCHED:
        LAUNCHED.pop().kill()


def finish(process: subprocess.Popen, status: int = 0, timeout: int = 300) -> str:
    """Wait for the process, check its exit status, and return what it printed."""
    printed, _ = process.communicate(timeout=timeout)
    assert process.returncode == status, printed[-3000:]
    return printed


def scalars(out: Path, name: str) -> list[float]:
    """What a run wrote for TensorBoard under `name`."""
    return [value for _, value in read_curves(out)[name]]


def assert_same(ours: object, expected: object, where: str = "") -> None:
    """Two checkpoints are equal bit for bit, but for arguments (names of files) and seconds."""
    if isinstance(expected, torch.Tensor):
        assert torch.equal(ours, expected), where
    elif isinstance(expected, dict):
        assert ours.keys() == expected.keys(), where
        for key in expected.keys() - {"args", "seconds"}:
            assert_same(ours[key], expected[key], f"{where} {key}")
    elif isinstance(expected, list | tuple):
        for index, (one, other) in enumerate(zip(ours, expected, strict=True)):
            assert_same(one, other, f"{where} {index}")
    else:
        assert ours == expected, where


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def children_of(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.is_file():
        pytest.skip("no /proc to list the workers with")
    return children.read_text().split()
