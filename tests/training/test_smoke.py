"""Both stages of training in a few hundred steps, as a user would run them: what `make train-smoke` runs.

What is trained must interpolate unseen moving shapes better than the average of the two frames does.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark.methods import OurNetwork, average
from benchmark.runner import evaluate
from datasets import open_triplets
from models import waveletvfi
from utils import Process

ROOT = Path(__file__).parents[2]
DATA = "--data_root shapes:512 --val_root shapes:16 --config small --crop_size 64 --batch_size 8 --device cpu"
MARGIN = 0.5  # dB above averaging


def train(out, options):
    command = [sys.executable, "train_vimeo90k.py", *DATA.split(), "--out", str(out), *options.split()]
    subprocess.run(command, cwd=ROOT, check=True, timeout=1800)
    return out / "best.pth"


def gain(checkpoint):
    """Mean PSNR above the average of the frames, in dB, on triplets that training has not seen."""
    process = Process(0, 1, 0, torch.device("cpu"))
    methods = [OurNetwork(waveletvfi(checkpoint), str(checkpoint), [{}], {}), average()]
    ours, plain = (row.mean for row in evaluate(open_triplets("shapes:16", "test"), methods, process=process).rows)
    print(f"{checkpoint}: {ours.psnr:.2f} dB, averaging {plain.psnr:.2f} dB, cost {ours.cost:.2f}")
    return ours.psnr - plain.psnr


@pytest.mark.slow
def test_a_few_hundred_steps_of_training_beat_averaging(tmp_path):
    """A number of steps, not of minutes: a busy machine takes longer and learns as much."""
    rates = "--lr_start 1e-3 --lr_end 1e-5"
    static = train(tmp_path / "static", f"{rates} --epochs 6 --flow_warmup 0.3 --val_every 3")
    assert gain(static) > MARGIN
    rates = "--lr_start 2e-4 --lr_end 1e-5"
    dynamic = train(tmp_path / "dynamic", f"{rates} --epochs 2 --dynamic true --init_from {static} --val_every 2")
    assert gain(dynamic) > MARGIN
