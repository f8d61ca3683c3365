"""Operations per frame: published totals, the reference network's own counts, PyTorch's, and how masks scale them."""

import math
from unittest import mock

import pytest
import torch
from helpers.reference import images, reference_cases
from torch.utils.flop_counter import FlopCounterMode

import models.motion
from models import WaveletVFI
from models.macs import published_gmacs


def masks_for(height, width, value=1.0, batch=1):
    return [torch.full((batch, 1, height >> level, width >> level), value) for level in (1, 2, 3)]


def test_the_published_total_of_one_vimeo_pair(known_model):
    assert published_gmacs(known_model, 256, 448).item() == pytest.approx(89.87, abs=0.005)


@pytest.mark.parametrize("case", reference_cases(), ids=lambda case: f"{case['height']}x{case['width']}")
@pytest.mark.parametrize("ratio", [None, 0.0, 0.005, 0.01, 0.015])
def test_the_published_code_counts_the_same(known_model, case, ratio):
    height, width = case["height"], case["width"]
    img0, _, img1 = images(case["batch"], height, width, case["seed"])
    synthesis = known_model.interpolate_details(img0, img1, ratio=ratio).candidates[0]
    gmacs = published_gmacs(known_model, height, width, synthesis.masks)
    # The figures are those of the first pair of the batch.
    assert gmacs[0].item() == pytest.approx(case["gmacs"][str(ratio)], rel=1e-6)


def test_without_masks_everything_is_active(known_model):
    dense = published_gmacs(known_model, 64, 96)
    assert dense.shape == (1,)
    torch.testing.assert_close(published_gmacs(known_model, 64, 96, masks_for(64, 96, batch=2)), dense.expand(2))


def test_each_sample_counts_its_own_mask(known_model):
    full, empty = masks_for(64, 64), masks_for(64, 64, 0.0)
    together = published_gmacs(known_model, 64, 64, [torch.cat(pair) for pair in zip(full, empty, strict=True)])
    alone = [published_gmacs(known_model, 64, 64, masks) for masks in (full, empty)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert together[0] > 4 * together[1]


def test_what_the_masks_save_is_what_the_cost_says(known_model):
    img0, _, img1 = images(2, 64, 96)
    synthesis = known_model.interpolate_details(img0, img1, ratio=0.01).candidates[0]
    dense, empty = (published_gmacs(known_model, 64, 96, masks_for(64, 96, value)) for value in (1.0, 0.0))
    gmacs = published_gmacs(known_model, 64, 96, synthesis.masks)
    # The tables count one operation more per output, for the bias; hence not exactly equal.
    torch.testing.assert_close((gmacs - empty) / (dense - empty), synthesis.cost.double(), atol=1e-3, rtol=0)


def conv_flops(x, weight, *rest, out_shape, **options):
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def linear_flops(rows, *options, out_shape, **more):
    """Of a product with a matrix that was laid out in advance, which PyTorch's counter does not know."""
    return 2 * out_shape[0] * rows[-1] * out_shape[-1]


def counted_gmacs(model, img0, img1, **options):
    """10^9 multiply-accumulates of a call as PyTorch counts them while it runs, and as the network tells them.

    PyTorch counts no products of elements; those of the correlation are counted where it is called.
    """
    products = []

    def correlate(features0, features1, radius):
        products.append((2 * radius + 1) ** 2 * features0.numel())
        return usual(features0, features1, radius)

    usual = models.motion.correlate
    fused = {torch.ops.mkldnn._linear_pointwise: linear_flops, torch.ops.mkldnn._convolution_pointwise: conv_flops}
    known = fused if torch.backends.mkldnn.is_available() else {}
    model.interpolate_details(img0, img1, **options)  # transforms kernels, which are kept
    with (
        FlopCounterMode(display=False, custom_mapping=known) as counter,
        mock.patch("models.motion.correlate", correlate),
    ):
        output = model.interpolate_details(img0, img1, **options)
    return (counter.get_total_flops() / 2 + sum(products)) / 1e9, output.executed_gmacs.sum().item()


@pytest.mark.parametrize("method", ["masked", "folded", "gather", "auto"])
@pytest.mark.parametrize("config", ["base", "small"])
def test_pytorch_counts_as_many_executed_operations(known_model, small, config, method):
    model = {"base": known_model, "small": small}[config]
    before, model.sparse = model.sparse, method
    try:
        img0, _, img1 = images(2, 50, 81)
        for ratio in (0.0, 0.01, None):
            theirs, ours = counted_gmacs(model, img0, img1, ratio=ratio)
            assert ours == pytest.approx(theirs, rel=1e-6), ratio
    finally:
        model.sparse = before


@pytest.mark.parametrize("passes", [1, 2, 3, (2, 2, 1, 0), (1, 1)])
def test_pytorch_counts_as_many_executed_operations_of_several_passes(small, passes):
    img0, _, img1 = images(1, 128, 160)
    theirs, ours = counted_gmacs(small, img0, img1, ratio=0.003, passes=passes)
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("budget", [0.0, 0.3, 1.0])
def test_pytorch_counts_as_many_executed_operations_of_a_budget(small, budget):
    img0, _, img1 = images(1, 64, 96)
    theirs, ours = counted_gmacs(small, img0, img1, budget=budget)
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("config", ["base", "small"])
def test_linear_layers_apart_operations_grow_with_the_area(config):
    model = WaveletVFI(config)
    small, large = (published_gmacs(model, side, side, scales=(0,)).item() for side in (64, 256))
    assert large == pytest.approx(16 * small, rel=1e-3)


def test_other_sizes_count_as_the_padded_frame(known_model):
    assert published_gmacs(known_model, 50, 81) == published_gmacs(known_model, 64, 96)


@pytest.mark.parametrize(("height", "width"), [(0, 64), (64, 0)])
def test_a_frame_without_pixels_is_refused(known_model, height, width):
    with pytest.raises(ValueError, match=f"at least one pixel, got {height}x{width}"):
        published_gmacs(known_model, height, width)


@pytest.mark.parametrize("masks", [masks_for(64, 64)[:2], masks_for(64, 64)[::-1], masks_for(32, 64)])
def test_masks_of_another_size_or_number_are_refused(known_model, masks):
    with pytest.raises(ValueError, match=r"masks for 64x64 frames must be .* \[\(32, 32\), \(16, 16\), \(8, 8\)\]"):
        published_gmacs(known_model, 64, 64, masks)
