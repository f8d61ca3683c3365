"""An ensemble is symmetric: a mirrored pair gives the mirrored frame."""

import sys

import pytest
import torch
from helpers.clips import Average, make_clip, square
from helpers.runs import MIDDLE, tiny_network
from torch import Tensor

import interpolate
from models import WaveletVFI
from models.interface import average_with_mirrored
from video import Options, convert
from video.render.network import Network


def randomise(model: WaveletVFI) -> WaveletVFI:
    for head in (model.synthesis.low_head, *model.synthesis.high_heads):
        torch.nn.init.normal_(head.weight, std=0.003)
    return model.eval()


def pair(height: int = 70, width: int = 90, batch: int = 1) -> tuple[Tensor, Tensor]:
    return torch.rand(batch, 3, height, width), torch.rand(batch, 3, height, width)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("t", [None, 0.5, 0.25, torch.tensor([0.125, 0.75])])
def test_mirrored_frames_give_the_mirrored_frame(small, t):
    img0, img1 = pair(batch=2)
    frame = small.interpolate(img0, img1, t=t, ensemble=True)
    mirrored = small.interpolate(img0.flip(-1), img1.flip(-1), t=t, ensemble=True)
    assert_same(mirrored, frame.flip(-1))
    alone = small.interpolate(img0.flip(-1), img1.flip(-1), t=t)
    assert not torch.equal(alone, small.interpolate(img0, img1, t=t).flip(-1))  # the network itself is not symmetric


def test_an_ensemble_is_the_mean_of_two_frames(small):
    img0, img1 = pair()
    frame = small.interpolate(img0, img1, t=0.25, ratio=0.001, passes=1)
    mirrored = small.interpolate(img0.flip(3), img1.flip(3), t=0.25, ratio=0.001, passes=1)
    ensemble = small.interpolate(img0, img1, t=0.25, ratio=0.001, passes=1, ensemble=True)
    assert_same(ensemble, (frame + mirrored.flip(3)) / 2)


def test_a_symmetric_function_is_its_own_ensemble():
    img0, img1 = pair()
    assert_same(average_with_mirrored(lambda a, b, t: torch.maximum(a, b), img0, img1, None), torch.maximum(img0, img1))


@pytest.mark.parametrize("options", [{}, {"tile": 128}, {"budget": 0.5}])
@pytest.mark.parametrize("times", [(0.5,), (0.25, 0.5, 0.75)])
def test_frames_of_the_tool_are_symmetric_and_cost_two_calls(small, options, times):
    img0, img1 = pair(150, 200)
    for image in (img0, img1):
        image[..., :100] = 0.0  # a border of one colour, which a crop leaves out
    network, mirrored = (Network(small, ensemble=True, **options) for _ in range(2))
    flipped = img0.flip(-1), img1.flip(-1)
    for t in times:
        frame, call = network.between(img0, img1, t)
        other, same = mirrored.between(*flipped, t)
        assert_same(other, frame.flip(-1))
        one, alone = Network(small, **options).between(img0, img1, t)
        assert not torch.equal(frame, one)
        assert call.calls == 2 == 2 * alone.calls and call.dense == 2 * alone.dense == same.dense
        assert call.executed == pytest.approx(same.executed, rel=0.01)


def test_weights_of_the_middle_alone_and_models_that_tell_no_costs_have_ensembles():
    img0, img1 = pair()
    model = randomise(WaveletVFI(MIDDLE))
    frame, _ = Network(model, ensemble=True).between(img0, img1)
    assert_same(frame, model.interpolate(img0, img1, ensemble=True))
    frame, call = Network(Average(), ensemble=True).between(img0, img1)
    torch.testing.assert_close(frame, (img0 + img1) / 2)
    assert call.calls == 2 and call.cost is None


def test_features_of_mirrored_frames_are_computed_once(small, monkeypatch):
    encoded, encode = [], small.context.encode
    monkeypatch.setattr(small.context, "encode", lambda image: encoded.append(image) or encode(image))
    frames = [*pair(), *pair()]
    network = Network(small, ensemble=True)
    made = [network.between(*frames[i : i + 2])[0] for i in range(3)]
    assert len(encoded) == 2 * 4
    for i, frame in enumerate(made):
        assert_same(frame, small.interpolate(*frames[i : i + 2], ensemble=True))
    del frames
    assert not network._mirrored and not network._features


def test_equal_frames_are_still_copied(small):
    img0, _ = pair()
    frame, call = Network(small, ensemble=True).between(img0, img0.clone())
    assert frame is img0 and call.calls == 0


@pytest.mark.slow
def test_bytes_depend_on_the_ensemble_and_not_on_workers(small, tmp_path):
    source = tmp_path / "in.mp4"
    make_clip(source, [square(2 * i) for i in range(6)])
    made = {}
    for name, ensemble, workers in (("one", False, 1), ("two", True, 1), ("three", True, 2)):
        convert([source], tmp_path / f"{name}.mp4", small, Options(ensemble=ensemble), workers=workers)
        made[name] = (tmp_path / f"{name}.mp4").read_bytes()
    assert made["one"] != made["two"] == made["three"]


def test_a_conversion_is_not_resumed_with_another_choice(small, tmp_path, monkeypatch):
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    make_clip(source, [square(2 * i) for i in range(6)])
    monkeypatch.setattr(sys.modules["video.convert"], "join", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert([source], output, small, Options(ensemble=True))
    with pytest.raises(ValueError, match="ensemble"):
        convert([source], output, small, Options(), resume=True)


def test_the_command_line_passes_it_on():
    args = interpolate.parse_args(["a.mp4", "-o", "b.mp4", "--ensemble"])
    assert interpolate.options_of(args).ensemble
    assert not interpolate.options_of(interpolate.parse_args(["a.mp4", "-o", "b.mp4"])).ensemble


def test_a_benchmark_scores_the_mean_and_counts_both_calls():
    method = tiny_network([{"ratio": 0.0}])
    img0, img1 = pair(32, 48, batch=2)
    (plain,) = method.predict(img0, img1, [0])
    method.ensemble = True
    (both,) = method.predict(img0, img1, [0])
    assert_same(both.frame, method.model.interpolate(img0, img1, ratio=0.0, ensemble=True))
    assert_same(both.details.frame, plain.frame)
    assert both.mirrored.published_gmacs.sum() == both.details.published_gmacs.sum()
