"""What is compared: our network by ratios, functions of others, and frames found by halving."""

import re

import pytest
import torch
from helpers import benchmark_trees as trees
from helpers.runs import tiny_network

import utils
from benchmark.methods import Function, between, open_peer
from benchmark.runner import evaluate
from datasets import Vimeo90KTest

ALONE = utils.Process(0, 1, 0, torch.device("cpu"))
SWEEP = [{"ratio": ratio} for ratio in (0.0, 1e-3, None)]


@pytest.fixture
def dataset(tmp_path):
    return Vimeo90KTest(trees.noise_triplets(tmp_path / "data", [(32, 48)]))


def test_one_frame_of_many_is_what_all_frames_have_there():
    method, (img0, img1) = tiny_network(SWEEP), torch.rand(2, 1, 3, 32, 32)
    with torch.inference_mode():
        for row, frames in enumerate(between(method, img0, img1, 8)):
            for position, wanted in enumerate(frames, 1):
                ((alone,),) = between(method, img0, img1, 8, [row], [position])
                torch.testing.assert_close(alone.frame, wanted.frame, atol=1e-4, rtol=0)


def test_in_a_sweep_ratio_0_executes_what_it_executes_alone_and_the_rest_is_not_known():
    method, (img0, img1) = tiny_network(SWEEP), torch.rand(2, 2, 3, 32, 32)
    zero, *others = (prediction.details for prediction in method.predict(img0, img1, [0, 1, 2]))
    (alone,) = method.predict(img0, img1, [0])
    torch.testing.assert_close(zero.executed_gmacs, alone.details.executed_gmacs)
    assert [other.executed_gmacs for other in others] == [None, None]


def test_a_peer_of_three_arguments_is_asked_for_each_time():
    img0, img1 = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    linear = Function(lambda img0, img1, t: torch.lerp(img0, img1, t), "linear")
    halves = Function(lambda img0, img1, scale=1.0: (img0 + img1) / 2 * scale, "a peer with an option of its own")
    assert (linear.any_time, halves.any_time) == (True, False)
    for method in (linear, halves):
        (frames,) = between(method, img0, img1, 4)
        assert [frame.frame.mean().item() for frame in frames] == [0.25, 0.5, 0.75]
        ((last,),) = between(method, img0, img1, 4, [0], [3])
        assert last.frame.mean().item() == 0.75


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda img0, img1: img0[..., 1:], r"peer must return frames of shape \(1, 3, 32, 48\), got \(1, 3, 32, 47\)"),
        (lambda img0, img1: None, r"peer must return frames of shape .*, got NoneType"),
        (lambda img0, img1: 255 * img0, r"peer must return RGB in \[0, 1\], got values from 0 to 255"),
        (lambda img0, img1: img0 - 1, r"peer must return RGB in \[0, 1\], got values from -1 to 0"),
    ],
)
def test_a_peer_that_returns_something_else_stops_the_run(dataset, function, message):
    with pytest.raises(ValueError, match=message):
        evaluate(dataset, [Function(function, "peer")], process=ALONE)


def test_a_peer_that_fails_is_named_with_the_place_and_the_reason(dataset):
    def broken(img0, img1):
        raise RuntimeError("out of memory")

    place = rf"\(.*{re.escape(__file__)}, line {broken.__code__.co_firstlineno + 1}\)"
    for function, message in (
        (broken, rf"peer failed for frames of shape \(1, 3, 32, 48\): RuntimeError: out of memory {place}"),
        (lambda img0: img0, r"peer failed .* TypeError: .* takes 1 positional argument"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(dataset, [Function(function, "peer")], process=ALONE)


def test_a_peer_may_exceed_the_range_a_little_and_is_cut(dataset):
    bright = Function(lambda img0, img1: img0 + 0.3, "peer")
    cut = Function(lambda img0, img1: (img0 + 0.3).clamp(0, 1), "peer")
    results = (evaluate(dataset, [method], process=ALONE) for method in (bright, cut))
    assert next(results).rows[0].mean.psnr == next(results).rows[0].mean.psnr


def test_a_peer_is_found_in_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "their_network.py").write_text("def middle(img0, img1):\n    return img1\n\n\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    peer = open_peer("their_network:middle")
    assert peer.rows == ["their_network:middle"] and len(peer.identity["source"]) == 64
    pair = torch.rand(2, 1, 3, 8, 8)
    assert torch.equal(peer.predict(*pair, [0])[0].frame, pair[1])
    (tmp_path / "untidy.py").write_text("raise RuntimeError('no weights')\n")
    for text, message in (
        ("untidy:f", r"the peer untidy:f cannot be imported: no weights \(RuntimeError\)"),
        ("their_network", "a peer is named module:function, got 'their_network'"),
        ("no_such_module:f", "the peer no_such_module:f cannot be imported: No module named"),
        ("their_network:f", "the peer their_network:f cannot be imported: .* has no attribute 'f'"),
        ("their_network:number", "the peer their_network:number is a int, not a function"),
    ):
        with pytest.raises(ValueError, match=message):
            open_peer(text)
