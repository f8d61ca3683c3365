"""PSNR, SSIM and IE against arithmetic by hand, a direct 3-D convolution, and the figures of the published code."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers.reference import images, reference_cases

from benchmark.metrics import interpolation_error, psnr, psnr_luma, rounded, ssim

METRICS = [psnr, ssim, psnr_luma, interpolation_error]


def ssim_by_convolution(a, b):
    """The definition, one 11x11x11 convolution a moment, in float64."""
    line = torch.tensor([math.exp(-(k**2) / (2 * 1.5**2)) for k in range(-5, 6)], dtype=torch.float64)
    window = line[:, None, None] * line[:, None] * line
    window = window / window.sum()

    def blur(image):
        volume = F.pad(image[:, None], (5,) * 6, mode="replicate")
        return F.conv3d(volume, window[None, None])[:, 0]

    a, b = a.double(), b.double()
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, cov = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    ratio = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return ratio.mean((1, 2, 3))


@pytest.mark.parametrize("size", [(12, 20), (1, 7), (3, 1)])
def test_ssim_equals_the_direct_convolution(size):
    a, b = torch.rand(2, 3, *size), torch.rand(2, 3, *size)
    torch.testing.assert_close(ssim(a, b).double(), ssim_by_convolution(a, b), atol=1e-5, rtol=0)


@pytest.mark.extra
@pytest.mark.parametrize("size", [(8, 11), (1, 7)])
def test_ssim_equals_that_of_torchmetrics_for_volumes(size):
    """torchmetrics mirrors at the border. Within a border of repeated pixels it gives the SSIM of the papers."""
    functional = pytest.importorskip("torchmetrics.functional.image")
    a = torch.rand(2, 3, *size)
    b = (a + 0.3 * torch.rand_like(a)).clamp(0, 1)
    volumes = [F.pad(image[:, None], (5,) * 6, mode="replicate").double() for image in (a, b)]
    options = {"data_range": 1.0, "reduction": "none", "return_full_image": True}
    _, theirs = functional.structural_similarity_index_measure(*volumes, **options)
    inside = theirs[:, :, 5:-5, 5:-5, 5:-5]
    torch.testing.assert_close(ssim(a, b).double(), inside.mean((1, 2, 3, 4)), atol=1e-5, rtol=0)


@pytest.mark.extra
def test_psnr_equals_that_of_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.image")
    a, b = torch.rand(2, 3, 3, 16, 20)
    theirs = functional.peak_signal_noise_ratio(a, b, data_range=1.0, reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(psnr(a, b), theirs)


@pytest.mark.parametrize("case", reference_cases(), ids=lambda case: f"{case['height']}x{case['width']}")
def test_the_published_code_gives_the_same_figures(case):
    img0, imgt, _ = images(case["batch"], case["height"], case["width"], case["seed"])
    for metric, key in ((psnr, "psnr_img0_imgt"), (ssim, "ssim_img0_imgt")):
        torch.testing.assert_close(metric(img0, imgt), torch.tensor(case["metrics"][key]), atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize(("error", "decibel"), [(1.0, 0.0), (0.1, 20.0), (0.01, 40.0)])
def test_psnr_of_a_constant_error_is_its_logarithm(error, decibel):
    target = torch.zeros(2, 3, 8, 8)
    torch.testing.assert_close(psnr(target + error, target), torch.full((2,), decibel))


def test_psnr_weighs_every_pixel_and_channel_alike():
    target = torch.zeros(1, 3, 10, 10)
    prediction = target.clone()
    prediction[0, 1, 3, 4] = 1  # one of 300 values: the mean square error is 1/300
    assert psnr(prediction, target).item() == pytest.approx(10 * math.log10(300))


def test_interpolation_error_is_the_mean_difference_in_grey_levels():
    target = torch.randint(0, 200, (2, 3, 6, 7)).float()
    difference = torch.randint(-2, 50, (2, 3, 6, 7)).clamp(min=0).float()
    expected = difference.mean((1, 2, 3))
    torch.testing.assert_close(interpolation_error((target + difference) / 255, target / 255), expected)


@pytest.mark.parametrize(("channel", "weight"), [(0, 0.299), (1, 0.587), (2, 0.114)])
def test_psnr_of_the_luma_weighs_the_colours_as_the_eye_does(channel, weight):
    target = torch.zeros(1, 3, 8, 8)
    prediction = target.clone()
    prediction[:, channel] = 0.5
    assert psnr_luma(prediction, target).item() == pytest.approx(-20 * math.log10(0.5 * weight), abs=1e-4)


def test_psnr_of_the_luma_of_grey_images_is_that_of_the_images():
    a, b = (torch.rand(2, 1, 8, 8).expand(-1, 3, -1, -1) for _ in range(2))
    torch.testing.assert_close(psnr_luma(a, b), psnr(a, b))


def test_rounding_goes_to_the_nearest_of_256_levels():
    levels = torch.arange(256) / 255
    torch.testing.assert_close(rounded(levels + 0.4 / 255)[:-1], levels[:-1])
    torch.testing.assert_close(rounded(levels - 0.4 / 255)[1:], levels[1:])
    assert torch.equal(rounded(rounded(levels)), rounded(levels))


def test_equal_images_are_perfect():
    image = torch.rand(2, 3, 16, 16)
    assert psnr(image, image).tolist() == [math.inf] * 2
    torch.testing.assert_close(ssim(image, image), torch.ones(2))


def test_ssim_of_an_image_and_its_negative_is_negative():
    image = (torch.rand(1, 3, 32, 32) > 0.5).float()
    assert ssim(image, 1 - image).item() < -0.5


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_the_order_of_the_images_does_not_matter(metric):
    a, b = torch.rand(2, 3, 16, 20), torch.rand(2, 3, 16, 20)
    torch.testing.assert_close(metric(a, b), metric(b, a))


@pytest.mark.parametrize("metric", METRICS)
def test_an_image_is_judged_alone(metric):
    a, b = torch.rand(3, 3, 16, 20), torch.rand(3, 3, 16, 20)
    one_by_one = torch.cat([metric(x[None], y[None]) for x, y in zip(a, b, strict=True)])
    torch.testing.assert_close(metric(a, b), one_by_one)


@pytest.mark.parametrize("metric", METRICS)
def test_half_precision_is_judged_in_single_precision(metric):
    a, b = torch.rand(1, 3, 16, 16).half(), torch.rand(1, 3, 16, 16).half()
    assert torch.equal(metric(a, b), metric(a.float(), b.float()))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("first", "second"), [((2, 3, 8, 8), (1, 3, 8, 8)), ((3, 8, 8), (3, 8, 8)), ((1, 1, 8, 8), (1, 1, 8, 8))]
)
def test_other_shapes_are_refused(metric, first, second):
    with pytest.raises(ValueError, match=r"same shape \(B, 3, H, W\) are needed, got \("):
        metric(torch.zeros(first), torch.zeros(second))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [-0.1, 255.0, math.nan])
@pytest.mark.parametrize("place", ["prediction", "target"])
def test_values_outside_the_range_are_refused(metric, value, place):
    pair = {"prediction": torch.zeros(1, 3, 8, 8), "target": torch.zeros(1, 3, 8, 8)}
    pair[place][0, 0, 0, 0] = value
    with pytest.raises(ValueError, match=rf"the {place} must lie in \[0, 1\], got values from"):
        metric(**pair)
