"""The loss terms, against arithmetic by hand and a direct transcription of the census formula."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers.reference import images

from models import Interpolation, WaveletVFI
from models.losses import census, charbonnier, classifier_loss, log_error, psnr, reconstruction, training_loss


def direct_census(image, target):
    """NETWORK formula, pixel neighbourhoods by unfold, zero padding."""

    def transform(x):
        grey = x.mean(1, keepdim=True)
        patches = F.unfold(grey, 7, padding=3).unflatten(2, grey.shape[2:])
        d = patches - grey
        return d / (0.81 + d**2).sqrt()

    difference = (transform(image) - transform(target)) ** 2
    e = (difference / (0.1 + difference)).mean(1)
    inside = torch.zeros_like(e)
    inside[:, 3:-3, 3:-3] = 1
    return (e * inside).mean((1, 2))


@pytest.mark.parametrize("size", [(7, 7), (16, 20), (33, 9)])
def test_census_equals_the_direct_formula_with_its_gradient(size):
    image, target = torch.rand(2, 2, 3, *size, dtype=torch.double)
    image.requires_grad_()
    ours, expected = census(image, target), direct_census(image, target)
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(x.sum(), image)[0] for x in (ours, expected)]
    torch.testing.assert_close(*gradients)


def test_census_of_a_frame_smaller_than_its_neighbourhood_is_zero():
    assert census(torch.rand(2, 3, 6, 20), torch.rand(2, 3, 6, 20)).tolist() == [0, 0]


def test_no_gradient_reaches_the_truth_through_census():
    target = torch.rand(1, 3, 16, 16, requires_grad=True)
    assert not census(torch.rand(1, 3, 16, 16), target).requires_grad


def test_charbonnier_of_a_constant_difference():
    expected = torch.tensor([0.25 + 1e-6]).sqrt().expand(2)
    torch.testing.assert_close(charbonnier(torch.full((2, 3, 4, 4), 0.5)), expected)


@pytest.mark.parametrize("config", ["base", "small"])
def test_one_hot_probabilities_give_the_static_loss(config):
    model = WaveletVFI(config)
    img0, imgt, img1 = torch.rand(3, 2, 3, 32, 32)
    static = model(img0, img1, ratio=model.config.ratios[1])
    dynamic = model(img0, img1, temperature=1.0)
    one_hot = dynamic._replace(probs=F.one_hot(torch.tensor([1, 1]), 4).float())
    for ours, expected in zip(training_loss(one_hot, imgt), training_loss(static, imgt), strict=True):
        torch.testing.assert_close(ours, expected)


def test_the_computation_term_is_three_times_reconstruction_times_cost():
    model = WaveletVFI("base")
    img0, imgt, img1 = torch.rand(3, 1, 3, 32, 32)
    output = model(img0, img1, ratio=0.0)
    loss = training_loss(output, imgt)
    torch.testing.assert_close(loss.reconstruction, reconstruction(output.frame, imgt).mean())
    torch.testing.assert_close(loss.computation, 3 * loss.reconstruction * output.candidates[0].cost.mean())
    torch.testing.assert_close(loss.total, loss.reconstruction + loss.wavelet + loss.computation)


def test_the_classifier_alone_learns_each_candidates_psnr_however_seldom_it_is_chosen(known_model):
    img0, imgt, img1 = images(1, 64, 64, 0)
    output = known_model(img0, img1, temperature=1.0)
    single = [known_model(img0, img1, ratio=ratio) for ratio in known_model.config.ratios]
    values = torch.stack([psnr(one.frame, imgt)[0] - 0.5 * one.candidates[0].cost[0] for one in single]).detach()
    goal = (values - values.mean())[None]
    assert goal.std() > 0.1
    first_alone = F.one_hot(torch.tensor([0]), 4).float()

    def loss(logits):
        changed = output._replace(motion=output.motion._replace(ratio_logits=logits), probs=first_alone)
        return classifier_loss(changed, imgt, cost_weight=0.5).total

    assert float(loss(goal)) < 1e-3
    logits = torch.zeros(1, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(logits), logits)
    torch.testing.assert_close(slope, -(goal / 0.1).clamp(-1, 1) / 4, rtol=1e-2, atol=1e-3)


def test_a_perfect_correction_leaves_only_the_smallest_charbonnier():
    """The bands that the wavelet term judges are those of the frame, in the correction form too."""
    model = WaveletVFI("small").eval()
    img0 = torch.rand(1, 3, 32, 32)
    output = model(img0, img0, ratio=0.0)
    assert isinstance(output, Interpolation)
    loss = training_loss(output, output.merged.detach())  # untrained heads correct nothing
    assert float(loss.reconstruction.detach()) == pytest.approx(1e-3, rel=1e-3)
    assert float(loss.wavelet.detach()) == pytest.approx(5 * 0.01 * 1e-3, rel=0.05)


def test_the_logarithm_of_the_error_is_the_psnr_in_another_unit():
    target = torch.rand(3, 3, 20, 30, dtype=torch.float64) * 0.5 + 0.25
    frame = target + torch.tensor([0.2, 0.1, 0.05]).view(3, 1, 1, 1) * (torch.rand_like(target) - 0.5)
    decibels = -10 / math.log(10) * log_error(frame, target)
    torch.testing.assert_close(decibels.float(), psnr(frame, target), atol=0.3, rtol=0)
    assert (psnr(frame, target) > decibels).all()


def test_each_sample_counts_by_its_share_of_the_error():
    """Where the error is ten times larger, a step of the same share changes the loss as much."""
    target = torch.rand(1, 3, 20, 30).expand(2, -1, -1, -1)
    error = torch.tensor([0.3, 0.03]).view(2, 1, 1, 1) * torch.randn(1, 3, 20, 30)
    frame = (target + error).requires_grad_()
    log_error(frame, target).sum().backward()
    shares = (frame.grad * error).sum((1, 2, 3))
    torch.testing.assert_close(shares, torch.full((2,), 2.0), atol=0.03, rtol=0)


def test_a_frame_without_error_has_a_finite_logarithm_and_gradient():
    frame = torch.rand(1, 3, 8, 8).requires_grad_()
    loss = log_error(frame, frame.detach())
    loss.sum().backward()
    assert torch.isfinite(loss).all() and torch.isfinite(frame.grad).all()
