"""Stopping and resuming: what was scored is not computed again, and what changed is."""

import json
import os
import signal
import time

import pytest
import torch
from helpers import benchmark_trees as trees
from helpers.runs import launch

import utils
from benchmark.methods import Function
from benchmark.runner import evaluate
from benchmark.scores import Store
from datasets import Vimeo90KTest

ALONE = utils.Process(0, 1, 0, torch.device("cpu"))
LINES = "images.rank0.jsonl"


class Counting(Function):
    """The average, counting its pairs."""

    def __init__(self, identity="counting"):
        super().__init__(self.count, "counting", {"identity": identity})
        self.pairs = 0

    def count(self, img0, img1):
        self.pairs += len(img0)
        return (img0 + img1) / 2


@pytest.fixture
def root(tmp_path):
    return trees.noise_triplets(tmp_path / "data", [(32, 48)] * 4)


def resume(root, folder, *, identity="counting", process=ALONE):
    """The results, and how many pairs were computed."""
    method = Counting(identity)
    results = evaluate(Vimeo90KTest(root), [method], process=process, store=Store(folder, process, resume=True))
    return results, method.pairs


def without_time(results):
    return [{name: scores._replace(ms=None) for name, scores in row.images.items()} for row in results.rows]


def test_only_what_is_missing_is_computed(root, tmp_path):
    whole, pairs = resume(root, tmp_path / "store")
    assert pairs == 4
    path = tmp_path / "store" / LINES
    kept = path.read_text().splitlines(keepends=True)
    path.write_text("".join(kept[:2]) + kept[2][:30])  # killed in the middle of the third line
    again, pairs = resume(root, tmp_path / "store")
    assert pairs == 2 and without_time(again) == without_time(whole)
    assert [row.images.keys() for row in again.rows] == [row.images.keys() for row in whole.rows]
    assert resume(root, tmp_path / "store")[1] == 0


def test_another_method_another_file_and_other_code_are_computed(root, tmp_path, monkeypatch):
    resume(root, tmp_path / "store")
    assert resume(root, tmp_path / "store", identity="other")[1] == 4
    trees.plain(root / "sequences/00001/0003/im2.png", 90)
    changed, pairs = resume(root, tmp_path / "store")
    assert pairs == 1 and len(changed.rows[0].images) == 4
    assert evaluate(Vimeo90KTest(root), [Counting()], process=ALONE).rows[0].mean.psnr == changed.rows[0].mean.psnr
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert resume(root, tmp_path / "store")[1] == 4


def test_a_perfect_frame_comes_back_from_the_store(tmp_path):
    trees.noise_triplets(tmp_path / "data", [(32, 48)])
    for k in (1, 2, 3):
        trees.plain(tmp_path / "data/sequences/00001/0001" / f"im{k}.png", 50)
    resume(tmp_path / "data", tmp_path / "store")
    results, pairs = resume(tmp_path / "data", tmp_path / "store")
    assert pairs == 0 and results.rows[0].mean.psnr == float("inf")


def test_without_resume_the_old_store_goes_whoever_wrote_it(root, tmp_path):
    resume(root, tmp_path)
    (tmp_path / LINES).rename(tmp_path / "images.rank3.jsonl")
    assert len(Store(tmp_path, ALONE, resume=True).found) == 4  # of other processes too
    assert not Store(tmp_path, ALONE, resume=False).found
    assert not list(tmp_path.glob("images.*"))


def test_a_foreign_line_is_passed_over(tmp_path):
    (tmp_path / LINES).write_text('{"key": "a"}\n[1]\n{"key": "a", "name": "b", "scores": [[[1, 2]]]}\nnothing\n')
    assert not Store(tmp_path, ALONE, resume=True).found


def test_damaged_bytes_cost_their_line_and_no_more(root, tmp_path):
    resume(root, tmp_path / "store")
    path = tmp_path / "store" / LINES
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"\xff\x00" + first + b"".join(rest))
    assert resume(root, tmp_path / "store")[1] == 1


def test_the_bar_goes_on_where_the_run_was_stopped(root, tmp_path, capsys):
    results, _ = resume(root, tmp_path / "store")
    path = tmp_path / "store" / LINES
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    capsys.readouterr()
    resume(root, tmp_path / "store")
    shown = capsys.readouterr().err
    assert "3/4" in shown and "0/4" not in shown and f"PSNR {results.rows[0].mean.psnr:.3f}" in shown


PEER = """
import time
def slow(img0, img1):
    time.sleep(0.3)
    return (img0 + img1) / 2
"""


@pytest.mark.slow
def test_a_killed_script_goes_on_and_ends_with_the_report_of_one_that_was_not(tmp_path):
    trees.noise_triplets(tmp_path / "data", [(32, 48)] * 12)
    (tmp_path / "slow_peer.py").write_text(PEER)
    arguments = f"benchmark/Vimeo90K.py --data_root {tmp_path}/data --ratio 0 --peer slow_peer:slow --device cpu"

    def start(output, *options):
        return launch(*arguments.split(), "--output", str(output), *options, PYTHONPATH=f"{tmp_path}")

    first, store = start(tmp_path / "out"), tmp_path / "out/Vimeo90K" / LINES
    deadline = time.monotonic() + 300
    while not (store.is_file() and len(store.read_text().splitlines()) >= 15):
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    before = store.read_text()
    printed = start(tmp_path / "out", "--resume").communicate(timeout=300)[0]
    assert store.read_text().startswith(before.rpartition("\n")[0])
    start(tmp_path / "whole").communicate(timeout=300)
    ours, wanted = (json.loads((tmp_path / o / "Vimeo90K/report.json").read_text()) for o in ("out", "whole"))
    for row, other in zip(ours["rows"], wanted["rows"], strict=True):
        for image, expected in zip((*row["images"], row["mean"]), (*other["images"], other["mean"]), strict=True):
            assert {k: v for k, v in image.items() if k != "ms"} == {k: v for k, v in expected.items() if k != "ms"}
    assert "12 samples; reports in" in printed
