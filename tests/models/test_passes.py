"""Coarse-to-fine motion, any time, and the local correlation: against their formulas, and laws."""

import dataclasses
import itertools
import unittest.mock

import pytest
import torch
import torch.nn.functional as F
from helpers.runs import MIDDLE
from helpers.shifts import shifted

from models import CONFIGS, Config, WaveletVFI, waveletvfi
from models.config import scales_of
from models.layers import backward_warp, halves
from models.macs import published_gmacs
from models.motion import correlate, flow_ways
from models.waveletvfi import Known

ANY_TIME = dataclasses.replace(CONFIGS["small"], any_time=True, correlation=2)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(1)
    return WaveletVFI(MIDDLE).eval()


@pytest.fixture(scope="module")
def any_time():
    torch.manual_seed(2)
    return WaveletVFI(ANY_TIME).eval()


def frames(batch=1, height=64, width=96):
    coarse = torch.rand(2 * batch, 3, height // 8, width // 8)
    return halves(F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1))


def refined(net, level, features, estimate):
    """What a decoder adds to an estimate, (B, 5, H/2^(level - 1), W/2^(level - 1)), and its feature, written out."""
    first, second = halves(features[level - 1])
    warped = [backward_warp(first, estimate[:, :2]), backward_warp(second, estimate[:, 2:4])]
    return net.decoders[level - 1](torch.cat([*warped, estimate], dim=1))


def resized(estimate, factor):
    mode = {"mode": "bilinear"} if factor > 1 else {"mode": "area"}
    flows = F.interpolate(estimate[:, :4], scale_factor=factor, **mode) * factor
    return torch.cat([flows, F.interpolate(estimate[:, 4:], scale_factor=factor, **mode)], dim=1)


@pytest.mark.parametrize("scales", [(1, 0), (0, 0)])
def test_two_passes_are_the_formula(small, scales):
    """One pass on frames of half the size or of the whole, then levels 2 and 1 on features of the whole frames."""
    net = small.motion
    img0, img1 = frames(batch=2)
    side = 2 ** scales[0]
    coarse = net(F.avg_pool2d(img0, side), F.avg_pool2d(img1, side))
    estimate = torch.cat([coarse.flow_t0, coarse.flow_t1, coarse.occlusion.logit()], dim=1)
    estimate = estimate if side == 2 else resized(estimate, 0.5)
    mean = (img0.mean((1, 2, 3), keepdim=True) + img1.mean((1, 2, 3), keepdim=True)) / 2
    features = net.encoder(torch.cat([img0 - mean, img1 - mean]))
    estimate = estimate + refined(net, 2, features, resized(estimate, 0.5))[0]
    residual, hidden = refined(net, 1, features, estimate)
    estimate = resized(estimate, 2) + residual
    motion = net(img0, img1, scales=scales)
    flows = torch.cat([motion.flow_t0, motion.flow_t1], dim=1)
    torch.testing.assert_close(flows, estimate[:, :4], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(motion.occlusion, estimate[:, 4:].sigmoid(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(motion.ratio_logits, net.classifier(hidden), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 96), (80, 48)])
def test_later_passes_that_refine_nothing_only_enlarge(size):
    """Whatever the scales, and whether frames have to be padded or not."""
    torch.manual_seed(5)
    net = WaveletVFI(MIDDLE).motion
    for decoder in net.decoders[:2]:
        torch.nn.init.zeros_(decoder.output.weight)
        torch.nn.init.zeros_(decoder.output.bias)
    torch.nn.init.zeros_(net.decoders[2].output.weight)
    torch.nn.init.zeros_(net.decoders[3].output.weight)
    net.decoders[3].output.bias.data = torch.tensor([1.0, -2, 3, 0.5, 0])
    img0, img1 = frames(1, *size)
    for scales in ((0,), (1, 0), (2, 1), (4, 3, 2, 1, 0), (4, 4, 3, 3, 2, 1), (0, 0)):
        motion = net(img0, img1, scales=scales)
        far = 8 * 2 ** scales[0]  # level 4 puts out estimates at half of its pass's eighth
        torch.testing.assert_close(motion.flow_t0, torch.tensor([1.0, -2]).view(1, 2, 1, 1).expand(1, 2, *size) * far)
        torch.testing.assert_close(motion.flow_t1, torch.tensor([3, 0.5]).view(1, 2, 1, 1).expand(1, 2, *size) * far)


def test_features_are_those_of_every_time(any_time):
    """What `encode` returns may be used again for another time of the same pair."""
    img0, img1 = frames(batch=2)
    net, scales = any_time.motion, (1, 1, 0)
    pyramids = net.encode(img0, img1, scales)
    assert pyramids[0] is pyramids[1]  # features of a repeated pass are computed once
    for t in (0.2, 0.5, 0.9):
        time = torch.full((2,), t)
        again, once = net.decode(pyramids, img0.shape[-2:], time, scales), net(img0, img1, time, scales)
        assert all(torch.equal(one, other) for one, other in zip(again[:4], once[:4], strict=True))


def test_what_training_sees_divides_the_frame(any_time):
    """The estimates between levels and the results of earlier passes lie on grids of 2^k pixels."""
    img0, img1 = frames(batch=1, height=64, width=128)
    motion = any_time.motion(img0, img1, torch.tensor([0.4]), scales=(1, 0))
    assert [tuple(e.shape[-2:]) for e in motion.coarse] == [(4, 8), (8, 16), (16, 32), (32, 64)]
    assert [tuple(e.shape[-2:]) for e in motion.passes] == [(32, 64)]
    half = any_time.motion(F.avg_pool2d(img0, 2), F.avg_pool2d(img1, 2), torch.tensor([0.4]))
    torch.testing.assert_close(motion.passes[0], torch.cat(half[:3], dim=1), rtol=1e-4, atol=1e-4)
    ending = any_time.motion(img0, img1, torch.tensor([0.4]), scales=(2, 1))
    assert [tuple(e.shape[-2:]) for e in ending.passes] == [(16, 32), (32, 64)]  # the last one before it is enlarged
    with torch.no_grad():
        assert any_time.motion(img0, img1, torch.tensor([0.4]), scales=(1, 0))[4:] == ((), ())


def test_one_pass_is_the_network_itself(small):
    img0, img1 = frames()
    torch.testing.assert_close(small(img0, img1, passes=1).frame, small(img0, img1).frame, rtol=0, atol=0)


def test_a_flow_that_ends_at_half_the_size_is_enlarged(small):
    img0, img1 = frames()
    half = small.motion(F.avg_pool2d(img0, 2), F.avg_pool2d(img1, 2))
    motion = small.motion(img0, img1, scales=(1,))
    torch.testing.assert_close(motion.flow_t0, F.interpolate(half.flow_t0, scale_factor=2, mode="bilinear") * 2)
    logit = F.interpolate(half.occlusion.logit(), scale_factor=2, mode="bilinear")
    torch.testing.assert_close(motion.occlusion, logit.sigmoid(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (50, 81), (97, 130)])
@pytest.mark.parametrize("passes", [1, 3, 7, "auto", (2, 1), (3,), (4, 4, 3, 3, 2)])
def test_any_size_takes_any_passes(any_time, size, passes):
    img0, img1 = torch.rand(2, 2, 3, *size)
    output = any_time.interpolate_details(img0, img1, passes=passes, t=0.3)
    assert output.frame.shape == img0.shape
    assert output.frame.isfinite().all()
    assert output.motion.flow_t0.shape[-2:] == output.merged.shape[-2:]


def test_a_sample_does_not_depend_on_its_batch_with_passes_and_times(any_time):
    img0, img1 = frames(batch=2)
    together = any_time.interpolate(img0, img1, passes=3, t=torch.tensor([0.2, 0.7]), ratio=0.0)
    for sample, t in enumerate((0.2, 0.7)):
        pair = img0[sample : sample + 1], img1[sample : sample + 1]
        alone = any_time.interpolate(*pair, passes=3, t=t, ratio=0.0)
        torch.testing.assert_close(together[sample : sample + 1], alone, rtol=0, atol=2e-4)


@pytest.mark.parametrize("passes", [0, 8, -1, 2.0, True, "many", (), (0, 1), (2, 0), (2, 2, 0), (7, 6), (1, 0, -1)])
def test_other_passes_are_refused(small, passes):
    img0, img1 = frames()
    with pytest.raises(ValueError, match=r"passes must be|scales must fall by one"):
        small(img0, img1, passes=passes)
    with pytest.raises(ValueError, match=r"passes must be|scales must fall by one"):
        Config(passes=passes)


def test_auto_depends_on_the_size_alone_and_grows_with_it():
    sizes = ((64, 64), (256, 448), (720, 1280), (1080, 1920), (2160, 3840))
    scales = [scales_of("auto", *size) for size in sizes]
    assert scales == [(0,), (3, 2, 1, 0), (4, 3, 2, 1), (5, 4, 3, 2, 1), (6, 5, 4, 3, 2)]
    assert scales_of("auto", 720, 1280) == scales_of("auto", 1280, 720)


def test_auto_repeats_coarse_passes_as_the_configuration_says():
    assert scales_of("auto", 256, 448, repeats=2) == (3, 3, 2, 2, 1, 0)
    assert scales_of("auto", 720, 1280, repeats=3) == (4, 4, 4, 3, 3, 3, 2, 1)
    assert scales_of("auto", 96, 128, repeats=2) == (1, 0)
    assert scales_of(3, 256, 448, repeats=2) == (2, 1, 0)
    model = WaveletVFI(dataclasses.replace(MIDDLE, passes="auto", repeats=2)).eval()
    img0, img1 = frames(height=128, width=160)
    assert model.scales(128, 160) == (1, 0) and model.scales(256, 448) == (3, 3, 2, 2, 1, 0)
    assert torch.equal(model.interpolate(img0, img1), model.interpolate(img0, img1, passes=(1, 0)))
    with pytest.raises(ValueError, match="repeats must be a whole number from 1 to 8, got 0"):
        Config(repeats=0)


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (256, 448), (720, 1280), (9000, 12000)])
def test_a_number_of_passes_ends_at_full_size_and_stops_where_frames_become_too_small(size):
    scales = [scales_of(passes, *size) for passes in range(1, 8)]
    assert scales[0] == (0,) and all(found[-1] == 0 for found in scales)
    assert all(len(more) - len(fewer) in (0, 1) for fewer, more in itertools.pairwise(scales))
    assert max(found[0] for found in scales) == scales_of("auto", *size)[0]
    assert scales_of((2, 1), *size) == (2, 1)


def test_the_operations_of_every_pass_are_counted():
    """A pass on frames of half the size costs a quarter, one of a quarter a sixteenth; later ones have two levels."""
    model = WaveletVFI("small")
    fixed = published_gmacs(model, 256, 512, scales=())
    full, half, quarter = (published_gmacs(model, 256, 512, scales=(s,)) - fixed for s in range(3))
    later = published_gmacs(model, 256, 512, scales=(1, 0)) - fixed - half
    torch.testing.assert_close(published_gmacs(model, 256, 512, scales=(2, 1, 0)) - fixed, quarter + later * 1.25)
    assert 0.5 * full < later < full
    assert (half / full).item() == pytest.approx(1 / 4, rel=1e-3)
    assert (quarter / full).item() == pytest.approx(1 / 16, rel=2e-3)
    img0, img1 = frames(height=256, width=512)
    output = model.eval().interpolate_details(img0, img1, passes=3, ratio=0.0)
    masks = output.candidates[0].masks
    torch.testing.assert_close(output.published_gmacs, published_gmacs(model, 256, 512, masks, scales=(2, 1, 0)))
    swept = model.sweep(img0, img1, [0.0], passes=3)[0]
    torch.testing.assert_close(swept.published_gmacs, output.published_gmacs)
    torch.testing.assert_close(swept.frame, output.frame)


def test_the_configuration_says_the_default_and_a_call_or_loading_another(tmp_path):
    from models.weights import save_weights

    torch.manual_seed(3)
    model = WaveletVFI(dataclasses.replace(CONFIGS["small"], passes=2)).eval()
    img0, img1 = frames()
    assert torch.equal(model.interpolate(img0, img1), model.interpolate(img0, img1, passes=2))
    save_weights(model, tmp_path / "two.pth")
    assert waveletvfi(tmp_path / "two.pth").config.passes == 2
    one = waveletvfi(tmp_path / "two.pth", passes=1)
    assert torch.equal(one.interpolate(img0, img1), model.interpolate(img0, img1, passes=1))
    scaled = WaveletVFI(dataclasses.replace(model.config, passes=(2, 1)))
    save_weights(scaled, tmp_path / "scales.pth")
    assert waveletvfi(tmp_path / "scales.pth").config.passes == (2, 1)


def direct_correlation(features0, features1, radius):
    height, width = features0.shape[-2:]
    pair = [f / f.norm(dim=1, keepdim=True).clamp(min=1e-3) for f in (features0, features1)]
    rows = []
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            row = torch.zeros(len(features0), height, width)
            for y in range(height):
                for x in range(width):
                    a, b = (y - dy, x - dx), (y + dy, x + dx)
                    if all(0 <= v < n for p in (a, b) for v, n in zip(p, (height, width), strict=True)):
                        row[:, y, x] = (pair[0][:, :, a[0], a[1]] * pair[1][:, :, b[0], b[1]]).sum(1)
            rows.append(row)
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("radius", [1, 2])
def test_correlation_is_its_formula(radius):
    features0, features1 = torch.randn(2, 2, 5, 6, 7)
    torch.testing.assert_close(
        correlate(features0, features1, radius), direct_correlation(features0, features1, radius)
    )


def test_correlation_finds_what_moves_evenly():
    """Features that move by (2, -4) in all are alike at d = (1, -2), which is half of it."""
    features = torch.randn(1, 8, 20, 20)
    matches = correlate(features, shifted(features, 2, -4), 2)[0, :, 6:-6, 6:-6]
    best = matches.flatten(1).mean(1).argmax().item()
    assert divmod(best, 5) == (-2 + 2, 1 + 2)
    torch.testing.assert_close(matches[best], torch.ones_like(matches[best]))


def test_swapped_features_give_the_opposite_displacements():
    features0, features1 = torch.randn(2, 1, 4, 8, 9)
    one, other = correlate(features0, features1, 2), correlate(features1, features0, 2)
    torch.testing.assert_close(one, other.flip(1))


def test_the_middle_is_half_way_and_other_times_share_the_motion():
    ways = flow_ways(torch.tensor([0.5, 0.25]))[:, :, 0, 0]
    assert ways.tolist() == [[1, 1, 1, 1, 1], [0.5, 0.5, 1.5, 1.5, 1]]


def test_a_network_that_does_not_look_at_the_time_moves_evenly_and_fades_over(any_time):
    """As it starts: weights of the plane at 0. Flows are 2t and 2(1 - t) of those in the middle, and the blend's odds
    those of the times."""
    torch.manual_seed(4)
    model = WaveletVFI(ANY_TIME).eval()
    for decoder in model.motion.decoders:
        torch.nn.init.zeros_(decoder.hidden[0][0].weight[:, -1:])
        torch.nn.init.zeros_(decoder.output.weight)
    img0, img1 = frames()
    middle, early = model.motion(img0, img1, torch.tensor([0.5])), model.motion(img0, img1, torch.tensor([0.25]))
    torch.testing.assert_close(early.flow_t0, 0.5 * middle.flow_t0)
    torch.testing.assert_close(early.flow_t1, 1.5 * middle.flow_t1)
    odds = [motion.occlusion / (1 - motion.occlusion) for motion in (middle, early)]
    torch.testing.assert_close(odds[1], 3 * odds[0])


@pytest.mark.parametrize("t", [1e-5, 1 - 1e-5])
def test_towards_its_ends_the_frame_becomes_the_frame_there(any_time, t):
    img0, img1 = frames()
    frame = any_time.interpolate(img0, img1, t=t, ratio=0.0)
    torch.testing.assert_close(frame, img0 if t < 0.5 else img1, rtol=0, atol=0.05)


def test_without_a_time_it_is_the_middle(any_time):
    img0, img1 = frames()
    assert torch.equal(any_time.interpolate(img0, img1), any_time.interpolate(img0, img1, t=0.5))
    assert torch.equal(any_time.interpolate(img0, img1), any_time.interpolate(img0, img1, t=torch.tensor([0.5])))
    assert not torch.equal(any_time.interpolate(img0, img1), any_time.interpolate(img0, img1, t=0.25))


@pytest.mark.parametrize("t", [0.0, 1.0, -0.5, float("nan"), torch.tensor([0.5, 1.5])])
def test_times_outside_are_refused(any_time, t):
    img0, img1 = frames(batch=2)
    with pytest.raises(ValueError, match="t must lie between 0 and 1"):
        any_time(img0, img1, t=t)


@pytest.mark.parametrize("t", [torch.rand(3), torch.rand(2, 1)])
def test_times_that_are_not_one_per_sample_are_refused(any_time, t):
    img0, img1 = frames(batch=2)
    with pytest.raises(ValueError, match=r"t must be a number or one per sample \(2\)"):
        any_time(img0, img1, t=t)


def test_a_network_of_the_middle_alone_refuses_another_time(small):
    img0, img1 = frames()
    with pytest.raises(ValueError, match=r"make the frame at t = 0.5 alone, got t = 0.25"):
        small.interpolate(img0, img1, t=0.25)
    assert torch.equal(small.interpolate(img0, img1, t=0.5), small.interpolate(img0, img1))


def test_features_of_a_pair_serve_every_time(any_time):
    img0, img1 = frames()
    first = any_time.interpolate_details(img0, img1, t=0.25, known=Known())
    again = any_time.interpolate_details(img0, img1, t=0.75, known=first.known)
    assert torch.equal(again.frame, any_time.interpolate(img0, img1, t=0.75))
    assert again.executed_gmacs < first.executed_gmacs


def test_a_level_that_mp_net_does_not_have_is_refused():
    with pytest.raises(ValueError, match="classifier_level must be 1, 2, 3 or 4, got 5"):
        Config(classifier_level=5)


def test_the_classifier_reads_its_level_of_the_last_pass(any_time):
    """Level 1 sees the whole of a pair; level 4 of the first pass sees 1/64 of its sides."""
    for level, seen in ((1, (32, 48)), (4, (1, 2))):
        model = WaveletVFI(dataclasses.replace(ANY_TIME, classifier_level=level)).eval()
        read = unittest.mock.Mock(wraps=model.motion.classifier.conv.forward)
        model.motion.classifier.conv.forward = read
        with torch.no_grad():
            model(*frames(), passes=(2, 1, 0))
        (call,) = read.call_args_list
        assert call.args[0].shape[-2:] == seen


def test_a_radius_out_of_range_is_refused():
    with pytest.raises(ValueError, match="correlation must be a radius from 0 to 8, got -1"):
        Config(correlation=-1)
