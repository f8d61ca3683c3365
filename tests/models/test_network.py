"""What stands between the pipeline and a model: copies, borders, tiles, costs."""

import dataclasses
import gc
from itertools import pairwise

import pytest
import torch
from helpers.clips import Average
from torch import Tensor

from models import CONFIGS, WaveletVFI
from models.macs import dense_gmacs, executed_gmacs
from video.render.network import Network
from video.render.pairs import find_inside, in_tiles


class Blur(Average):
    """A model that reaches 5 pixels far, so that borders of tiles and crops would show."""

    def __init__(self):
        self.shapes = []

    def interpolate(self, img0, img1, **options):
        self.shapes.append(tuple(img0.shape[-2:]))
        mean = torch.nn.functional.pad((img0 + img1) / 2, (5, 5, 5, 5), mode="replicate")
        return torch.nn.functional.avg_pool2d(mean, 11, stride=1)


def pair(height: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.rand(1, 3, height, width), torch.rand(1, 3, height, width)


def boxed(top: int, bottom: int, left: int, right: int, *, colour: float = 0.0) -> tuple[Tensor, Tensor]:
    """Frames of 150x200 with a border."""
    images = tuple(torch.full((1, 3, 150, 200), colour) for _ in range(2))
    for image in images:
        image[..., top:bottom, left:right] = torch.rand(1, 3, bottom - top, right - left)
    return images


def test_equal_frames_are_copied_and_cost_nothing(small):
    img0, _ = pair(48, 64)
    imgt, call = Network(small).between(img0, img0.clone())
    assert imgt is img0
    assert call.cost == call.executed == 0 and call.dense == dense_gmacs(small, 48, 64)


@pytest.mark.parametrize(
    "box", [(20, 130, 0, 200), (0, 150, 33, 170), (65, 100, 70, 71), (0, 149, 0, 200), (149, 150, 0, 1)]
)
@pytest.mark.parametrize("colour", [0.0, 0.25])
def test_borders_stay_what_they_are_and_are_not_computed(box, colour):
    img0, img1 = boxed(*box, colour=colour)
    assert find_inside(img0, img1) == box
    model = Blur()
    imgt, _ = Network(model).between(img0, img1)
    top, bottom, left, right = box
    inside = torch.zeros(150, 200, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    assert (imgt[..., ~inside] == colour).all()
    crop = (..., slice(top // 64 * 64, -(-bottom // 64) * 64), slice(left // 64 * 64, -(-right // 64) * 64))
    expected = Blur().interpolate(img0[crop], img1[crop])
    placed = img0.clone()
    placed[crop] = expected
    torch.testing.assert_close(imgt[..., inside], placed[..., inside], rtol=0, atol=0)
    assert model.shapes == [tuple(expected.shape[-2:])]


def test_what_only_one_frame_shows_is_no_border():
    img0, img1 = boxed(20, 130, 0, 200)
    img1[..., 10, 50] = 1
    assert find_inside(img0, img1) == (10, 130, 0, 200)
    img0[..., 140:, :] = img1[..., 140:, :] = torch.rand(1, 3, 10, 200)  # the same in both, but not of one colour
    assert find_inside(img0, img1) == (10, 150, 0, 200)


def test_a_frame_without_border_is_the_models():
    img0, img1 = pair(70, 90)
    imgt, _ = Network(Blur()).between(img0, img1)
    torch.testing.assert_close(imgt, Blur().interpolate(img0, img1), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(300, 500), (128, 129), (257, 64)])
def test_tiles_show_no_seams(size):
    img0, img1 = pair(*size)
    torch.testing.assert_close(in_tiles(lambda a, b: (a + b) / 2, img0, img1, 128), (img0 + img1) / 2)
    whole, tiled = (Network(Blur(), tile=tile).between(img0, img1)[0] for tile in (None, 128))
    # Blended borders of tiles differ by less than the blur; the inside of a tile not at all.
    assert (whole - tiled).abs().max() < 0.15 * (whole - img0).abs().max()
    torch.testing.assert_close(tiled[..., 8:40, 8:40], whole[..., 8:40, 8:40])


def test_tiles_are_never_larger_than_asked_for_and_small_frames_are_whole():
    model = Blur()
    Network(model, tile=160).between(*pair(400, 170))
    assert set(model.shapes) == {(160, 96)} and len(model.shapes) == 6
    model = Blur()
    Network(model, tile=160).between(*pair(160, 100))
    assert model.shapes == [(160, 100)]


def test_costs_are_the_models_own(small):
    img0, img1 = pair(48, 64)
    imgt, call = Network(small, ratio=0.02).between(img0, img1)
    output = small.interpolate_details(img0, img1, ratio=0.02)
    torch.testing.assert_close(imgt, output.frame, rtol=0, atol=0)
    assert call.cost == output.candidates[0].cost.item() < 1
    assert call.ratio == pytest.approx(0.02)
    assert call.executed == output.executed_gmacs.item()
    assert call.dense == dense_gmacs(small, 48, 64)


def test_what_pairs_share_is_computed_once(small, monkeypatch):
    network, encoded = Network(small, ratio=0.001), []
    encode = small.context.encode
    monkeypatch.setattr(small.context, "encode", lambda image: encoded.append(image) or encode(image))
    frames = [*pair(48, 64), *pair(48, 64)]
    calls = []
    for img0, img1 in pairwise(frames):
        half, call = network.between(img0, img1)
        calls.append(call)
        quarters = [network.between(img0, half), network.between(half, img1)]
        for (imgt, _), ends in zip(quarters, ((img0, half), (half, img1)), strict=True):
            torch.testing.assert_close(imgt, Network(small, ratio=0.001).between(*ends)[0], rtol=0, atol=0)
    alone = 4 * 3  # calls of the fresh networks above
    assert len(encoded) == 4 + 3 + alone
    assert calls[1].executed < calls[0].executed
    del half, quarters, ends, imgt, img0, img1, frames
    gc.collect()
    assert len(network._features) == 0


def test_the_times_of_a_pair_share_what_motion_is_found_from(monkeypatch):
    torch.manual_seed(6)
    model = WaveletVFI(dataclasses.replace(CONFIGS["small"], any_time=True, passes=2)).eval()
    network, encoded = Network(model, ratio=0.0), []
    encode = model.motion.encode
    monkeypatch.setattr(model.motion, "encode", lambda *pair: encoded.append(pair) or encode(*pair))
    img0, img1 = pair(48, 64)
    img2 = img1.flip(3)
    for first, last in ((img0, img1), (img1, img2)):
        calls = [network.between(first, last, t) for t in (0.2, 0.5, 0.8)]
        assert calls[0][1].executed > calls[1][1].executed == calls[2][1].executed
        for t, (imgt, _) in zip((0.2, 0.5, 0.8), calls, strict=True):
            torch.testing.assert_close(imgt, model.interpolate(first, last, t=t, ratio=0.0), rtol=0, atol=0)
    assert len(encoded) == 2 + 6


def test_another_part_of_a_shared_frame_is_computed_anew(small):
    """A letterbox that ends within the clip."""
    img0, img1 = pair(192, 64)
    img2 = img1.clone()
    img1[..., :64, :] = img0[..., :64, :] = 0
    network = Network(small, ratio=0.0)
    network.between(img0, img1)
    torch.testing.assert_close(
        network.between(img1, img2)[0], Network(small, ratio=0.0).between(img1, img2)[0], rtol=0, atol=0
    )


def test_tiles_and_borders_are_counted_as_they_are_computed(small):
    img0, img1 = pair(160, 96)
    _, call = Network(small, ratio=0.0, tile=128).between(img0, img1)
    output = small.interpolate_details(img0[..., :96, :], img1[..., :96, :], ratio=0.0)
    one = executed_gmacs(small, 96, 96, output.candidates[0].executed).item()
    assert call.executed == pytest.approx(2 * one) and call.cost == pytest.approx(1)
    img0[..., 64:, :] = img1[..., 64:, :] = 0
    _, call = Network(small, ratio=0.0).between(img0, img1)
    assert call.executed < 0.5 * call.dense == pytest.approx(0.5 * dense_gmacs(small, 160, 96))


def test_budget_and_ratio_reach_the_model():
    seen = []

    class Recorder:
        def interpolate(self, img0, img1, **options):
            seen.append(options)
            return img0

    for options in ({}, {"ratio": 0.5}, {"budget": 0.25}):
        Network(Recorder(), **options).between(*pair(8, 8))
    assert seen == [{"ratio": None}, {"ratio": 0.5}, {"budget": 0.25}]


def test_fingerprints_tell_weights_apart(small):
    before = Network(small).fingerprint()
    assert before == Network(small).fingerprint() != Network(small.synthesis).fingerprint()
    name, value = next(iter(small.state_dict().items()))
    with torch.no_grad():
        value.flatten()[0] += 1
        changed = Network(small).fingerprint()
        value.flatten()[0] -= 1
    assert name and before != changed
    average = Average()
    average.fingerprint = "of the weights"
    assert Network(average).fingerprint() == f"Average {Network(Average()).fingerprint().split()[1]} cpu of the weights"


@pytest.mark.parametrize(
    ("failure", "kind", "text"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), ValueError, "memory for frames of 512x9; try --tile 256"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ValueError, "not enough memory"),
        (RuntimeError("a bug"), RuntimeError, "a bug"),
    ],
)  # fmt: skip
def test_running_out_of_memory_is_told_from_a_bug(failure, kind, text):
    class Failing:
        def interpolate(self, img0, img1, **options):
            raise failure

    with pytest.raises(kind, match=text):
        Network(Failing()).between(*pair(9, 512))


def test_tiles_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="at least 128 pixels, got 100"):
        Network(Average(), tile=100)
