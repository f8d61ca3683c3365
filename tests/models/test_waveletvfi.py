"""The public API of the network."""

import copy
import dataclasses

import pytest
import torch
from helpers.reference import frames, images

from models import CONFIGS, Config, WaveletVFI
from models.bands import Bands, detail_mask, haar_pyramid
from models.macs import published_gmacs
from models.waveletvfi import Known
from pytorch_wavelets import haar_inverse


def test_small_has_less_than_four_million_parameters_and_base_is_the_papers():
    base, small = CONFIGS["base"], CONFIGS["small"]
    assert sum(p.numel() for p in WaveletVFI("small").parameters()) < 4e6
    assert sum(p.numel() for p in WaveletVFI("base").parameters()) == 19_411_151
    assert (small.correction, small.any_time, small.passes, small.classifier_level) == (True, True, "auto", 1)
    assert (base.correction, base.any_time, base.passes, base.correlation) == (False, False, 1, 0)
    assert base.classifier_level == 4


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16), (33, 50), (48, 64)])
def test_interpolate_takes_any_size_and_returns_it(small, size):
    frame = small.interpolate(*frames(2, *size))
    assert frame.shape == (2, 3, *size)
    assert float(frame.min()) >= 0
    assert float(frame.max()) <= 1


def test_interpolate_of_a_fitting_size_is_the_forward_pass(small):
    img0, img1 = frames()
    with torch.no_grad():
        expected = small(img0, img1).frame
    torch.testing.assert_close(small.interpolate(img0, img1), expected, atol=0, rtol=0)


def test_a_sample_does_not_depend_on_its_batch_even_with_its_own_ratio(small):
    img0, img1 = frames(3)
    ratios = torch.tensor([0.0, 0.001, 0.01])
    together = small.interpolate_details(img0, img1, ratio=ratios)
    for i, ratio in enumerate(ratios.tolist()):
        alone = small.interpolate_details(img0[i : i + 1], img1[i : i + 1], ratio=ratio)
        torch.testing.assert_close(together.frame[i : i + 1], alone.frame, atol=2e-5, rtol=0)
        torch.testing.assert_close(together.candidates[0].cost[i : i + 1], alone.candidates[0].cost)


def test_ratio_zero_costs_everything_and_cost_falls_with_the_ratio(small):
    img0, img1 = frames()
    costs = [float(small.interpolate_details(img0, img1, ratio=r).candidates[0].cost) for r in (0, 0.001, 0.01, 0.1, 9)]
    assert costs[0] == 1
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 0


@pytest.mark.parametrize("ratio", [0.002, 0.01])
def test_masks_nest_and_details_outside_them_are_zero(known_model, ratio):
    img0, img1 = frames(2)
    with torch.no_grad():
        synthesis = known_model(img0, img1, ratio=ratio).candidates[0]
    for fine, coarse in zip(synthesis.masks, synthesis.masks[1:], strict=False):
        upsampled = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="nearest")
        assert bool((fine <= upsampled).all())
    for mask, high in zip(synthesis.masks, synthesis.highs, strict=False):
        assert float((high * (1 - mask[:, :, None])).abs().max()) == 0


@pytest.mark.parametrize("name", ["base", "small"])
def test_the_frame_is_the_inverse_transform_of_the_reported_bands(known_model, small, name):
    model = {"base": known_model, "small": small}[name]
    with torch.no_grad():
        synthesis = model(*frames(), ratio=0.0).candidates[0]
    low = synthesis.low
    for high in reversed(synthesis.highs):
        low = haar_inverse(low, high)
    torch.testing.assert_close(low.clamp(0, 1), synthesis.frame, atol=1e-5, rtol=0)


def test_an_untrained_correction_is_the_merged_frame():
    output = WaveletVFI("small")(*frames(), ratio=0.0)
    torch.testing.assert_close(output.frame, output.merged, atol=1e-5, rtol=0)


def test_the_correction_form_compares_its_own_details_with_the_range_of_the_frame(small):
    img0, img1 = frames()
    with torch.no_grad():
        output = small(img0, img1, ratio=0.003)
    synthesis, (lows, highs) = output.candidates[0], haar_pyramid(output.merged)
    correction = synthesis.highs[3] - highs[3]
    low = haar_inverse(synthesis.low, synthesis.highs[3])  # merged + correction so far: both are linear
    torch.testing.assert_close(synthesis.masks[2], detail_mask(correction, low, synthesis.ratio))
    assert lows[3].shape == low.shape


def test_a_detail_equal_to_its_threshold_is_not_active():
    low = torch.zeros(1, 3, 2, 2)
    low[..., 0, 0] = 1
    high = torch.full((1, 3, 3, 1, 1), 0.5)
    assert detail_mask(high, low, torch.tensor([0.5])).sum() == 0
    assert detail_mask(high, low, torch.tensor([0.499])).sum() == 4


def test_the_dynamic_stage_mixes_all_candidates(small):
    output = small(*frames(2), temperature=0.7)
    assert len(output.candidates) == 4
    torch.testing.assert_close(output.probs.sum(1), torch.ones(2))
    mixed = sum(
        p[:, None, None, None] * c.frame for p, c in zip(output.probs.unbind(1), output.candidates, strict=True)
    )
    torch.testing.assert_close(output.frame, mixed)
    for ratio, candidate in zip(small.config.ratios, output.candidates, strict=True):
        assert candidate.ratio.tolist() == pytest.approx([ratio] * 2)


@pytest.mark.parametrize("ratios", [(0.0, 0.001, 0.004, 0.02), (0.004, 0.001), (0.001, 0.001)])
@pytest.mark.parametrize("name", ["base", "small"])
def test_candidates_equal_what_each_ratio_gives_alone_gradients_included(known_model, small, name, ratios):
    """They come of one descent with the lowest ratio: a larger one drops details and changes none."""
    model = copy.deepcopy({"base": known_model, "small": small}[name])
    model.config = dataclasses.replace(model.config, ratios=ratios)
    model.motion.classifier.linear[-1] = torch.nn.Linear(model.motion.classifier.linear[-1].in_features, len(ratios))
    img0, _, img1 = images(2, 64, 96)
    together = model(img0, img1, temperature=1.0)
    parameters = [p for part in (model.synthesis, model.context) for p in part.parameters()]
    for ratio, candidate in zip(ratios, together.candidates, strict=True):
        alone = model(img0, img1, ratio=ratio).candidates[0]
        torch.testing.assert_close(candidate.frame, alone.frame, atol=1e-6, rtol=0)
        torch.testing.assert_close(candidate.cost, alone.cost)
        for ours, theirs in zip(
            torch.autograd.grad(candidate.frame.square().sum(), parameters, retain_graph=True),
            torch.autograd.grad(alone.frame.square().sum(), parameters),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))


def test_a_candidate_that_wants_more_than_the_lowest_ratio_has_is_computed_alone(small, monkeypatch):
    monkeypatch.setattr(Bands, "hold", lambda self, other: torch.zeros(2, dtype=torch.bool))
    img0, img1 = frames(2)
    with torch.no_grad():
        for ratio, candidate in zip(small.config.ratios, small(img0, img1, temperature=1.0).candidates, strict=True):
            torch.testing.assert_close(candidate.frame, small(img0, img1, ratio=ratio).frame, atol=1e-6, rtol=0)


BAD_CALLS = [
    (((1, 3, 16, 16), (1, 3, 16, 32)), {}, "one size, got"),
    (((3, 16, 16), (3, 16, 16)), {}, r"img0 must be \(B, 3, H, W\)"),
    (((1, 1, 16, 16), (1, 1, 16, 16)), {}, r"img0 must be \(B, 3, H, W\)"),
    (((1, 3, 0, 16), (1, 3, 0, 16)), {}, r"img0 must be \(B, 3, H, W\)"),
    (((1, 3, 17, 16), (1, 3, 17, 16)), {}, "multiples of 16, got 17x16"),
    (((1, 3, 16, 17), (1, 3, 16, 17)), {}, "multiples of 16, got 16x17"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"ratio": -0.1}, "ratio must be finite and >= 0"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"ratio": float("nan")}, "ratio must be finite and >= 0"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"ratio": torch.zeros(2)}, "one per sample"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"ratio": torch.zeros(1, 1)}, "one per sample"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"temperature": 0.0}, "temperature must be > 0"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"temperature": 1.0, "ratio": 0.0}, "give one of"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"budget": 0.5, "ratio": 0.0}, "give one of"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"budget": 0.5, "temperature": 1.0}, "give one of"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"budget": -0.5}, "budget must be finite and >= 0, got -0.5"),
    (((1, 3, 16, 16), (1, 3, 16, 16)), {"budget": float("nan")}, "budget must be finite and >= 0"),
]


@pytest.mark.parametrize(("shapes", "options", "message"), BAD_CALLS)
def test_wrong_calls_say_what_came_and_what_is_needed(small, shapes, options, message):
    with pytest.raises(ValueError, match=message):
        small(*(torch.rand(shape) for shape in shapes), **options)


def test_whole_numbers_are_refused_as_frames(small):
    with pytest.raises(ValueError, match="divide 8-bit images by 255"):
        small.interpolate(*torch.zeros(2, 1, 3, 16, 16, dtype=torch.uint8))


@pytest.mark.parametrize("ratios", [(), (-0.1,), (float("inf"),)])
def test_candidate_ratios_must_be_usable(ratios):
    with pytest.raises(ValueError, match="candidate ratios must be"):
        Config(ratios=ratios)


def test_an_unknown_configuration_is_named():
    with pytest.raises(ValueError, match="config must be one of base, small, got 'huge'"):
        WaveletVFI("huge")


@pytest.mark.parametrize("name", ["base", "small"])
@pytest.mark.parametrize("budget", [0.0, 0.05, 0.3, 0.6, 0.9, 1.0])
def test_a_budget_is_kept_and_is_the_same_as_the_ratio_it_chose(known_model, small, name, budget):
    """The cost of detours on the way to the ratio is within the budget too: gathered tiles are what is executed.

    In narrow levels, a tile's window takes 16 products a pixel where the formula has 9.
    """
    model = {"base": known_model, "small": small}[name]
    img0, _, img1 = images(2, 64, 96)
    model.sparse = "auto"
    output = model.interpolate_details(img0, img1, budget=budget)
    synthesis = output.candidates[0]
    again = model.interpolate_details(img0, img1, ratio=synthesis.ratio)
    torch.testing.assert_close(output.frame, again.frame, atol=1e-5, rtol=0)
    for ours, theirs in zip(synthesis.masks, again.candidates[0].masks, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)
    torch.testing.assert_close(synthesis.cost, again.candidates[0].cost)
    assert float(synthesis.cost.max()) <= budget
    assert float(synthesis.executed.max()) <= budget * (16 / 9 if name == "small" else 1) + 1e-6
    if budget == 1:
        assert synthesis.ratio.tolist() == [0, 0]
    elif budget > 0.2 and name == "base":
        assert float(synthesis.cost.min()) > budget / 2


@pytest.mark.parametrize("budget", [0.0, 0.2, 0.5, 0.8])
def test_the_short_search_for_a_budget_finds_what_the_long_one_does(small, budget, monkeypatch):
    img0, _, img1 = images(2, 64, 96)
    short = small.interpolate_details(img0, img1, budget=budget).candidates[0]
    monkeypatch.setattr("models.budget.TRIES", 0)
    long = small.interpolate_details(img0, img1, budget=budget).candidates[0]
    torch.testing.assert_close(short.ratio, long.ratio, rtol=0.01, atol=0)
    torch.testing.assert_close(short.cost, long.cost, rtol=0, atol=0.02)


def test_each_sample_has_its_own_budget_ratio(small):
    img0, img1 = frames(2)
    img1[1] = img0[1]
    together = small.interpolate_details(img0, img1, budget=0.4)
    for i in range(2):
        alone = small.interpolate_details(img0[i : i + 1], img1[i : i + 1], budget=0.4)
        torch.testing.assert_close(together.frame[i : i + 1], alone.frame, atol=2e-5, rtol=0)


def test_operations_are_reported_per_sample(known_model):
    """Dense: the published count, and the tiles' share of the products; all of them in the masked formula."""
    img0, img1 = frames(2, 64, 64)
    counts = {}
    for method in ("masked", "folded", "gather"):
        known_model.sparse = method
        output = known_model.interpolate_details(img0, img1, ratio=0.0)
        counts[method] = output.executed_gmacs
        torch.testing.assert_close(output.published_gmacs, published_gmacs(known_model, 64, 64).expand(2))
    known_model.sparse = "auto"
    # Published tables count a transposed convolution four times, and biases and activations as products.
    transposed = sum(
        d.output.weight.numel() * 64 * 64 / 4**level for level, d in enumerate(known_model.motion.decoders)
    )
    expected = published_gmacs(known_model, 64, 64) - 0.75 * transposed / 1e9
    torch.testing.assert_close(counts["masked"], expected.expand(2), rtol=2e-3, atol=0)
    assert bool((counts["gather"] < counts["folded"]).all() and (counts["folded"] < counts["masked"]).all())


@pytest.mark.parametrize("name", ["known_model", "small"])
def test_known_features_change_nothing_but_the_work(request, name):
    model = request.getfixturevalue(name)
    img0, img1, img2 = images(2, 48, 64)
    first = model.interpolate_details(img0, img1, ratio=0.001, passes=1, known=Known())
    plain = model.interpolate_details(img1, img2, ratio=0.001, passes=1)
    again = model.interpolate_details(img1, img2, ratio=0.001, passes=1, known=Known(img0=first.known.img1))
    assert plain.known is None and again.known.img0 is first.known.img1
    torch.testing.assert_close(again.frame, plain.frame, rtol=0, atol=0)
    both = model.interpolate_details(img1, img2, ratio=0.001, passes=1, known=again.known._replace(pair=None))
    torch.testing.assert_close(both.frame, plain.frame, rtol=0, atol=0)
    saved = sum(
        level[0].weight.numel() * (48 >> depth) * (64 >> depth)
        for depth, level in enumerate(model.context.frames.levels, start=1)
    )
    for output, count in ((again, 1), (both, 2)):
        fewer = torch.full((2,), count * saved / 1e9, dtype=torch.float64)
        torch.testing.assert_close(plain.executed_gmacs - output.executed_gmacs, fewer)
        torch.testing.assert_close(plain.published_gmacs, output.published_gmacs)
    pair = model.interpolate_details(img1, img2, ratio=0.001, passes=1, known=again.known)
    torch.testing.assert_close(pair.frame, plain.frame, rtol=0, atol=0)
    seen = 2 * sum(
        layer.weight.numel() * (48 >> depth) * (64 >> depth)
        for depth, level in enumerate(model.motion.encoder.levels, start=1)
        for layer in (level[0][0], level[1][0])
    )
    fewer = torch.full((2,), seen / 1e9, dtype=torch.float64)
    torch.testing.assert_close(both.executed_gmacs - pair.executed_gmacs, fewer)


def test_a_frame_waits_for_nothing_that_has_to_come_back_from_the_device(small, monkeypatch):
    """Operations are counted when somebody asks for them: each reading would make a GPU finish first."""

    def refuse(*_):
        raise AssertionError("the forward pass reads a tensor on the host")

    small.sparse = "masked"  # other ways look at weights, which is no waiting on a CPU
    try:
        with monkeypatch.context() as patch, torch.inference_mode():
            for name in ("cpu", "item", "tolist", "numpy"):
                patch.setattr(torch.Tensor, name, refuse)
            outputs = [small(*frames()), small(*frames(), ratio=1e-4, passes=2)]
    finally:
        small.sparse = "auto"
    assert all(output.published_gmacs > output.executed_gmacs > 0 for output in outputs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_frame_synchronises_with_no_gpu(small):
    model, pair = copy.deepcopy(small).cuda(), [frame.cuda() for frame in frames()]
    with torch.inference_mode():
        model(*pair, ratio=1e-4)  # kernels are compiled and chosen
        torch.cuda.set_sync_debug_mode("error")
        try:
            model(*pair, ratio=1e-4)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_frames_are_observed_once_and_synthesised_as_often_as_wanted(small):
    img0, img1 = frames()
    with torch.inference_mode():
        observation = small.observe(img0, img1, passes=2)
        for ratio in (0.0, 1e-4, None):
            made = small.synthesise(observation, ratio=ratio)
            assert torch.equal(made.frame, small(img0, img1, ratio=ratio, passes=2).frame)


def test_gradients_leave_operations_uncounted(small):
    output = small(*frames(), ratio=0.0)
    assert output.published_gmacs is None and output.executed_gmacs is None


@pytest.mark.parametrize("ratios", [[0.0, 1e-4, None], [None, 2e-3, 5e-4]])
def test_a_sweep_is_every_ratio_alone(small, ratios):
    img0, img1 = frames(2, 37, 50)
    swept = small.sweep(img0, img1, ratios)
    assert len(swept) == len(ratios)
    for ratio, ours in zip(ratios, swept, strict=True):
        alone = small.interpolate_details(img0, img1, ratio=ratio)
        torch.testing.assert_close(ours.frame, alone.frame, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.published_gmacs, alone.published_gmacs)
        for field in ("ratio", "cost"):
            torch.testing.assert_close(*(getattr(output.candidates[0], field) for output in (ours, alone)))
        for mask, wanted in zip(ours.candidates[0].masks, alone.candidates[0].masks, strict=True):
            assert torch.equal(mask, wanted)
        assert ours.executed_gmacs is None and ours.frame.shape == img0.shape


def test_a_sweep_of_the_papers_network_is_every_ratio_alone(known_model):
    img0, img1 = frames()
    ratios = known_model.config.ratios
    for ratio, ours in zip(ratios, known_model.sweep(img0, img1, ratios), strict=True):
        wanted = known_model.interpolate(img0, img1, ratio=ratio)
        torch.testing.assert_close(ours.frame, wanted, atol=1e-5, rtol=0)


def test_impossible_sweeps_are_refused(small):
    with pytest.raises(ValueError, match=r"a sweep needs at least one ratio \(None: the network's choice\), got none"):
        small.sweep(*frames(), [])
    with pytest.raises(ValueError, match="ratio must be finite and >= 0, got -1"):
        small.sweep(*frames(), [0.0, -1])
    with pytest.raises(ValueError, match="both frames must have one size"):
        small.sweep(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 32), [0.0])
