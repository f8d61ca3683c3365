"""The trainer's flags: accumulation, precision, compilation, averaged weights, loss weights and schedules."""

import functools

import pytest
import torch
from helpers.runs import arguments, assert_same, make_data, scalars, train

import train_vimeo90k
import training.stages
import utils
from models import WaveletVFI
from training.optimizer import Position, Schedule, average_weights

REAL_SCALER = torch.amp.GradScaler


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def schedule(*flags, steps_per_epoch=10):
    return Schedule(train_vimeo90k.parse_args(list(flags)), steps_per_epoch)


def test_accumulated_batches_train_like_one_large_batch(data, tmp_path):
    large = train(data, tmp_path / "large", "--batch_size", "4", "--epochs", "3")
    small = train(data, tmp_path / "small", "--batch_size", "2", "--accumulate", "2", "--epochs", "3")
    assert small["position"]["step"] == large["position"]["step"] == 6
    losses = [scalars(tmp_path / name, "loss/total") for name in ("large", "small")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for name, weight in large["model"].items():
        torch.testing.assert_close(small["model"][name], weight, atol=1e-5, rtol=1e-4)


def test_the_average_follows_the_weights_by_the_formula():
    model, decay = torch.nn.Linear(1, 1, bias=False), 0.5
    average, expected = average_weights(model, decay), None
    for update, weight in enumerate([1.0, 3.0, -2.0, 5.0, 4.0, 7.0, 1.0, 0.0, 2.0, 6.0, 3.0]):
        torch.nn.init.constant_(model.weight, weight)
        average.update_parameters(model)
        kept = min(decay, (1 + update) / (10 + update))
        expected = weight if update == 0 else kept * expected + (1 - kept) * weight
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)
    assert (1 + update) / (10 + update) > decay  # both arms were taken


def test_averaged_weights_are_validated_and_shipped(data, tmp_path, monkeypatch):
    validated = []
    details = WaveletVFI.interpolate_details

    def spy(model, *frames, **options):
        validated.append(model.state_dict()["synthesis.low_head.bias"].clone())
        return details(model, *frames, **options)

    monkeypatch.setattr(WaveletVFI, "interpolate_details", spy)
    last = train(data, tmp_path, "--epochs", "1", "--ema", "0.9")
    best = utils.load_checkpoint(tmp_path / "best.pth")
    assert torch.equal(validated[-1], best["model"]["synthesis.low_head.bias"])
    for name, weight in best["model"].items():
        assert torch.equal(weight, last["average"][f"module.{name}"])
    assert any(not torch.equal(weight, last["model"][name]) for name, weight in best["model"].items())


def test_without_an_average_the_weights_themselves_are_shipped(data, tmp_path):
    last = train(data, tmp_path, "--epochs", "1", "--ema", "0")
    assert "average" not in last
    assert_same(utils.load_checkpoint(tmp_path / "best.pth")["model"], last["model"])


@pytest.mark.parametrize("dynamic", [pytest.param("false", marks=pytest.mark.slow), "true"])
def test_bfloat16_trains_like_float32_with_weights_in_float32(data, tmp_path, dynamic):
    flags = ["--epochs", "1", "--dynamic", dynamic]
    train(data, tmp_path / "float32", *flags)
    state = train(data, tmp_path / "bf16", *flags, "--precision", "bf16")
    assert {weight.dtype for weight in state["model"].values()} == {torch.float32}
    losses = [scalars(tmp_path / name, "loss/reconstruction") for name in ("float32", "bf16")]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_scaled_loss_changes_nothing_and_an_overflow_lowers_the_scale(data, tmp_path, monkeypatch):
    """The scaler of fp16, here on a CPU in float32; a power of two changes no digit."""
    flags = ["--epochs", "1", "--ema", "0"]
    plain = train(data, tmp_path / "plain", *flags)
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *_, **__: REAL_SCALER("cpu", init_scale=2.0**10))
    scaled = train(data, tmp_path / "scaled", *flags)
    assert_same(scaled["model"], plain["model"])
    assert scaled["scaler"]["scale"] == 2.0**10
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *_, **__: REAL_SCALER("cpu", init_scale=2.0**127))
    overflown = train(data, tmp_path / "overflown", *flags, "--weight_wavelet", "1e4")
    assert overflown["position"]["skipped"] == 4
    assert overflown["scaler"]["scale"] == 2.0 ** (127 - 4)


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", ["false", "true"])
def test_a_compiled_network_trains_the_same_and_keeps_its_names(data, tmp_path, monkeypatch, dynamic):
    flags = ["--epochs", "1", "--dynamic", dynamic]
    plain = train(data, tmp_path / "plain", *flags)
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    compiled = train(data, tmp_path / "compiled", *flags, "--compile")
    assert_same(compiled["model"], plain["model"])


@pytest.mark.slow
def test_a_network_compiled_to_machine_code_trains_the_same(data, tmp_path):
    plain = train(data, tmp_path / "plain", "--epochs", "1")
    compiled = train(data, tmp_path / "compiled", "--epochs", "1", "--compile")
    assert compiled["model"].keys() == plain["model"].keys()
    losses = [scalars(tmp_path / name, "loss/total") for name in ("plain", "compiled")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.parametrize(
    ("epochs", "tolerance"), [(3, 1e-3), pytest.param(50, 0.02, marks=pytest.mark.slow)], ids=["12 steps", "200 steps"]
)
def test_folded_convolutions_train_like_masked_ones(data, tmp_path, monkeypatch, epochs, tolerance):
    losses = []
    for method in ("auto", "masked"):
        build = training.stages.build_model

        def built(*given, build=build, method=method):
            model = build(*given)
            model.sparse = method
            return model

        monkeypatch.setattr(training.trainer, "build_model", built)
        flags = ["--dynamic", "true", "--epochs", str(epochs), "--lr_start", "1e-3"]
        train(data, tmp_path / method, *flags, "--ratios", "0", "3e-5", "6e-5", "1e-4")
        losses.append(scalars(tmp_path / method, "loss/total"))
    assert len(losses[0]) == 4 * epochs
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)


def test_half_precision_weights_alone_continue_in_float32(data, tmp_path):
    content = utils.load_checkpoint(data / "tiny.pth")
    half = {name: weight.half() for name, weight in content["model"].items()}
    utils.save_checkpoint(tmp_path / "half.pth", {"model": half, "config": content["config"]})
    state = train(data, tmp_path / "run", "--init_from", str(tmp_path / "half.pth"), "--lr_start", "0", "--lr_end", "0")
    for name, weight in half.items():
        assert torch.equal(state["model"][name], weight.float()), name


def test_the_loss_weights_are_flags(data, tmp_path):
    for out, flags in (("paper", []), ("asked", ["--weight_wavelet", "0.02", "--weight_cost", "1.5"])):
        train(data, tmp_path / out, *flags, "--epochs", "1", "--lr_start", "0", "--lr_end", "0", "--dynamic", "true")
    for term, factor in (("wavelet", 2), ("computation", 0.5), ("reconstruction", 1)):
        asked = scalars(tmp_path / "asked", f"loss/{term}")
        assert asked == pytest.approx([factor * value for value in scalars(tmp_path / "paper", f"loss/{term}")])


def test_the_defaults_are_the_paper_s():
    args = train_vimeo90k.parse_args([])
    assert (args.weight_wavelet, args.weight_cost, args.lr_start, args.lr_end) == (0.01, 3.0, 1e-4, 1e-5)
    plan = schedule("--epochs", "100")
    temperatures = [plan.temperature(Position(step=10 * epoch)) for epoch in range(101)]
    assert temperatures == pytest.approx([max(1 - epoch / 50, 0.4) for epoch in range(101)])


def test_the_temperature_follows_its_flags():
    plan = schedule("--epochs", "4", "--temperature_end", "0.1", "--temperature_decay", "1")
    assert [plan.temperature(Position(step=10 * epoch)) for epoch in range(5)] == [1, 0.75, 0.5, 0.25, 0.1]


def test_the_learning_rate_rises_first_where_weights_are_given():
    rates = {
        flags: [schedule(*flags.split()).learning_rate(Position(step=step)) for step in (0, 24, 99, 100)]
        for flags in ("--init_from a.pth", "--init_from a.pth --lr_warmup 50", "--init_from a.pth --lr_warmup 0", "")
    }
    flat = rates[""]
    assert rates["--init_from a.pth --lr_warmup 0"] == flat
    for flags, factors in (
        ("--init_from a.pth", (0.01, 0.25, 1, 1)),
        ("--init_from a.pth --lr_warmup 50", (0.02, 0.5, 1, 1)),
    ):
        assert rates[flags] == pytest.approx([f * rate for f, rate in zip(factors, flat, strict=True)])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--precision", "fp16"], "fp16 needs a CUDA device, this run is on cpu; use bf16"),
        (["--ema", "1"], "--ema is the share of the old average"),
        (["--ema", "-0.1"], "--ema is the share of the old average"),
        (["--accumulate", "0"], "--accumulate must be positive, got 0"),
        (["--temperature_end", "0"], "--temperature_end must be positive"),
        (["--weight_cost", "-1"], "--weight_cost must not be negative, got -1"),
        (["--lr_warmup", "-1"], "--lr_warmup must not be negative, got -1"),
    ],
)
def test_impossible_options_are_named(data, tmp_path, extra, message):
    with pytest.raises(ValueError, match=message):
        train_vimeo90k.main(train_vimeo90k.parse_args(arguments(data, tmp_path, *extra)))
