"""Warping, resizing and padding."""

import math

import pytest
import torch
import torch.nn.functional as F

from models import layers
from models.layers import backward_warp, blend, channels_last, concatenate, halve_flow, mean_of_squares, pad_to_multiple


def uniform_flow(dx, dy, height=12, width=16):
    return torch.tensor([dx, dy]).view(1, 2, 1, 1).expand(1, 2, height, width).float()


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 0), (0, -2), (-5, 4)])
def test_warping_by_an_integer_flow_is_a_shift_with_repeated_borders(dx, dy):
    image = torch.rand(1, 3, 12, 16)
    y = (torch.arange(12) + dy).clamp(0, 11)
    x = (torch.arange(16) + dx).clamp(0, 15)
    torch.testing.assert_close(backward_warp(image, uniform_flow(dx, dy)), image[:, :, y][..., x], atol=1e-5, rtol=0)


def test_half_a_pixel_is_the_mean_of_two():
    image = torch.rand(1, 3, 12, 16)
    expected = (image[..., :-1] + image[..., 1:]) / 2
    torch.testing.assert_close(backward_warp(image, uniform_flow(0.5, 0))[..., :-1], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_frames_of_one_row_or_column_warp_to_themselves_under_zero_flow(size):
    image = torch.rand(2, 3, *size)
    torch.testing.assert_close(backward_warp(image, torch.zeros(2, 2, *size)), image)


@pytest.mark.parametrize("size", [(1, 9), (7, 1), (2, 2), (12, 17)])
def test_without_gradients_maps_warp_as_with_them(size):
    """Sums of rows (`weighted_rows`) against `grid_sample`, positions far outside included."""
    image, flow = channels_last(torch.rand(2, 8, *size)), 6 * torch.randn(2, 2, *size)
    assert not layers.rows_pay(image)
    expected = backward_warp(image, flow)
    with torch.no_grad():
        assert layers.rows_pay(image)
        torch.testing.assert_close(backward_warp(image, flow), expected, atol=1e-5, rtol=0)
        halved = backward_warp(image.bfloat16(), flow)
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(halved.float(), expected, atol=1e-2, rtol=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
def test_a_flow_without_end_reads_no_pixel_outside(value):
    image = channels_last(torch.rand(1, 8, 5, 6))
    with torch.no_grad():
        warped = backward_warp(image, torch.full((1, 2, 5, 6), value))
    assert warped.min() >= image.min() - 1e-6 and warped.max() <= image.max() + 1e-6


@pytest.mark.parametrize("like", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("part", [torch.contiguous_format, torch.channels_last])
def test_concatenation_takes_the_form_of_its_model(part, like):
    parts = [torch.rand(1, 8, 5, 6).contiguous(memory_format=part), torch.rand(1, 3, 5, 6)]
    model = torch.zeros(1, 4, 5, 6, dtype=torch.bfloat16).contiguous(memory_format=like)
    with torch.no_grad():
        whole = concatenate(parts, like=model)
    assert torch.equal(whole, torch.cat(parts, dim=1).bfloat16()) and whole.is_contiguous(memory_format=like)


def test_the_mean_of_squares_is_that_of_pooling():
    image = torch.randn(2, 3, 6, 10)
    torch.testing.assert_close(mean_of_squares(image), F.avg_pool2d(image, 2))


def test_occlusion_one_shows_img0_and_zero_img1():
    img0, img1, still = torch.rand(1, 3, 12, 16), torch.rand(1, 3, 12, 16), uniform_flow(0, 0)
    ones = torch.ones(1, 1, 12, 16)
    torch.testing.assert_close(blend(img0, img1, still, still, ones), img0)
    torch.testing.assert_close(blend(img0, img1, still, still, 0 * ones), img1)


def test_halving_a_flow_is_bilinear_and_halves_its_vectors():
    flow = torch.randn(2, 2, 12, 16)
    expected = F.interpolate(flow, scale_factor=0.5, mode="bilinear", align_corners=False) * 0.5
    torch.testing.assert_close(halve_flow(flow), expected)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (17, 31)])
def test_padding_keeps_the_image_and_repeats_its_border(size):
    image = torch.rand(1, 3, *size)
    padded = pad_to_multiple(image, 16)
    assert padded.shape[2] % 16 == 0
    assert padded.shape[3] % 16 == 0
    assert padded.shape[2] - size[0] < 16
    assert padded.shape[3] - size[1] < 16
    torch.testing.assert_close(padded[..., : size[0], : size[1]], image)
    torch.testing.assert_close(padded[..., -1, -1], image[..., -1, -1])


@pytest.mark.parametrize("batch", [1, 2])
def test_channels_last_in_memory_whatever_the_strides_were(batch):
    plain = torch.rand(batch, 3, 5, 6)
    images = [plain, plain.contiguous(memory_format=torch.channels_last), plain.mT.contiguous().mT]
    if batch == 1:
        images.append(plain[0].permute(1, 2, 0).contiguous().permute(2, 0, 1)[None])  # as decoded pictures come
    for image in images:
        ours = channels_last(image)
        assert torch.equal(ours, plain)
        assert ours.stride() == (90, 1, 18, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("batch", "channels", "size", "stride"), [(1, 3, (48, 64), 2), (2, 20, (13, 7), 1), (3, 33, (9, 30), 2)]
)
def test_a_fused_convolution_is_the_plain_one(dtype, batch, channels, size, stride, monkeypatch):
    layer = layers.ConvLReLU(channels, 24, stride).to(dtype)
    x = layers.channels_last(torch.randn(batch, channels, *size).to(dtype))
    with torch.no_grad():
        assert layers._fuses(x, layer[0].weight) == (dtype in layers.onednn_dtypes())  # bf16 only where the CPU has it
        fused = layer(x)
        plain = F.leaky_relu(F.conv2d(x.double(), layer[0].weight.double(), layer[0].bias.double(), stride, 1), 0.1)
        tolerance = {"atol": 1e-5, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 4e-3, "rtol": 8e-3}
        torch.testing.assert_close(fused.double(), plain, **tolerance)
        monkeypatch.setattr(layers, "CONV_POINTWISE", None)
        torch.testing.assert_close(layer(x).double(), plain, **tolerance)


def test_a_convolution_is_plain_for_gradients_autocast_and_rows_after_rows():
    layer = layers.ConvLReLU(3, 8)
    x = layers.channels_last(torch.randn(1, 3, 16, 24))
    assert not layers._fuses(x, layer[0].weight)
    with torch.no_grad():
        assert not layers._fuses(x.contiguous(), layer[0].weight)
        assert not layers._fuses(x.bfloat16(), layer[0].weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert not layers._fuses(x, layer[0].weight)
            assert layer(x).dtype == torch.bfloat16
    layer(x).sum().backward()
    assert layer[0].weight.grad is not None
