"""Every way to compute a sparse convolution equals the masked dense one."""

import pytest
import torch
import torch.nn.functional as F

from models import WaveletVFI
from models.sparse import METHODS, SparseConv2d
from models.sparse.phases import conv_of_upsampled


def meaning(conv, x, mask, coarse=None):
    """conv(cat(x, nearest x2 of coarse)) * mask, by PyTorch alone."""
    if coarse is not None:
        x = torch.cat([x, coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)], dim=1)
    return F.conv2d(x, conv.weight, conv.bias, padding=1) * mask


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 3), (8, 11)])
def test_folding_the_upsampling_into_the_kernel_changes_nothing(size):
    coarse, weight = torch.randn(2, 4, *size, dtype=torch.double), torch.randn(5, 4, 3, 3, dtype=torch.double)
    upsampled = F.interpolate(coarse, scale_factor=2, mode="nearest")
    torch.testing.assert_close(conv_of_upsampled(coarse, weight), F.conv2d(upsampled, weight, padding=1))


@pytest.mark.parametrize("active", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("with_coarse", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_equals_the_masked_dense_convolution(method, with_coarse, active):
    """Several samples, odd sizes where there is no coarse input, more active pixels than one chunk."""
    conv = SparseConv2d(7, 5, coarse_channels=3 if with_coarse else 0)
    conv.method = method
    height, width = (30, 46) if with_coarse else (31, 45)
    x, mask = torch.randn(2, 7, height, width), (torch.rand(2, 1, height, width) < active).float()
    coarse = torch.randn(2, 3, height // 2, width // 2) if with_coarse else None
    with torch.no_grad():
        torch.testing.assert_close(conv(x, mask, coarse), meaning(conv, x, mask, coarse), atol=1e-5, rtol=0)


@pytest.mark.parametrize("active", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("with_coarse", [False, True])
@pytest.mark.parametrize("method", sorted(set(METHODS) - {"gather"}))
def test_gradients_equal_those_of_the_masked_dense_convolution(method, with_coarse, active):
    conv = SparseConv2d(7, 5, coarse_channels=3 if with_coarse else 0).double()
    conv.method = method
    x = torch.randn(2, 7, 10, 14, dtype=torch.double, requires_grad=True)
    coarse = torch.randn(2, 3, 5, 7, dtype=torch.double, requires_grad=True) if with_coarse else None
    mask = (torch.rand(2, 1, 10, 14) < active).double()
    inputs = [t for t in (x, coarse, conv.weight, conv.bias) if t is not None]
    ours, expected = conv(x, mask, coarse), meaning(conv, x, mask, coarse)
    torch.testing.assert_close(ours, expected)
    for mine, true in zip(
        torch.autograd.grad(ours.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, true)


def test_gathering_a_single_pixel_touches_no_other():
    conv = SparseConv2d(4, 6, coarse_channels=2)
    conv.method = "gather"
    x, coarse, mask = torch.randn(1, 4, 8, 8), torch.randn(1, 2, 4, 4), torch.zeros(1, 1, 8, 8)
    mask[0, 0, 7, 0] = 1
    with torch.no_grad():
        out = conv(x, mask, coarse)
    assert out.count_nonzero() == out[0, :, 7, 0].count_nonzero() == 6


@pytest.mark.parametrize("ratio", [0.0, 0.002, 0.008, 9.0])
@pytest.mark.parametrize("config", ["base", "small"])
def test_the_whole_network_is_the_same_for_every_method(config, ratio):
    model = WaveletVFI(config).eval()
    for head in model.synthesis.high_heads:
        torch.nn.init.normal_(head.weight, std=0.003)
    img0, img1 = torch.rand(2, 2, 3, 48, 80)
    outputs = {}
    for method in METHODS:
        model.sparse = method
        assert model.sparse == method
        with torch.no_grad():
            outputs[method] = model(img0, img1, ratio=ratio).frame
    for method in METHODS:
        torch.testing.assert_close(outputs[method], outputs["masked"], atol=1e-4, rtol=0)


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match="sparse must be one of auto, folded, gather, masked, got 'magic'"):
        WaveletVFI("small").sparse = "magic"
