"""The trainer: both stages, resuming, and several processes."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from helpers.runs import TINY, make_data, scalars, train
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train_vimeo90k
import utils
from models import WaveletVFI
from models.losses import Loss, reconstruction
from training.stages import passes_loss


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


def test_static_training_lowers_the_loss_and_leaves_the_classifier_alone(data, tmp_path):
    start = utils.load_checkpoint(data / "tiny.pth")["model"]
    end = train(data, tmp_path, "--epochs", "6", "--lr_start", "1e-3")["model"]
    for name, weight in end.items():
        assert torch.equal(weight, start[name]) == ("classifier" in name), name
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("loss/reconstruction")]
    assert sum(losses[-6:]) < sum(losses[:6])
    rates = [event.value for event in events.Scalars("schedule/learning_rate")]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(1e-3)
    assert {"validation/psnr", "validation/cost", "validation/share/ratio_0"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"]


def test_the_dynamic_stage_trains_the_classifier_and_anneals_the_temperature(data, tmp_path):
    start = utils.load_checkpoint(data / "tiny.pth")["model"]
    end = train(data, tmp_path, "--dynamic", "true", "--epochs", "4")["model"]
    assert not torch.equal(start["motion.classifier.linear.2.weight"], end["motion.classifier.linear.2.weight"])
    assert scalars(tmp_path, "schedule/temperature") == pytest.approx([1.0] * 4 + [0.5] * 4 + [0.4] * 8)


def test_the_classifier_can_be_trained_alone(data, tmp_path):
    start = utils.load_checkpoint(data / "tiny.pth")["model"]
    end = train(data, tmp_path, "--dynamic", "true", "--classifier_only")["model"]
    for name, weight in end.items():
        assert torch.equal(weight, start[name]) == ("classifier" not in name), name
    assert scalars(tmp_path, "loss/prediction") == scalars(tmp_path, "loss/total")
    assert min(scalars(tmp_path, "loss/prediction")) > 0


def test_the_temperature_reaches_the_model(data, tmp_path, monkeypatch):
    seen = []
    select = WaveletVFI._select_ratios

    def spy(model, logits, ratio, temperature):
        seen.append(temperature)
        return select(model, logits, ratio, temperature)

    monkeypatch.setattr(WaveletVFI, "_select_ratios", spy)
    train(data, tmp_path, "--dynamic", "true", "--epochs", "4")
    assert [t for t in seen if t is not None] == pytest.approx([1.0] * 4 + [0.5] * 4 + [0.4] * 8)


def test_the_warm_up_trains_motion_alone(data, tmp_path):
    start = utils.load_checkpoint(data / "tiny.pth")["model"]
    end = train(data, tmp_path, "--flow_warmup", "1")["model"]
    changed = {name.split(".")[0] for name in start if not torch.equal(start[name], end[name])}
    assert changed == {"motion"}


def test_a_time_limit_plans_the_schedule(data, tmp_path):
    state = train(data, tmp_path, "--time_limit", "0.02", "--epochs", "1")
    assert state["position"]["seconds"] >= 1.2


def test_the_published_flags_are_understood():
    published = "--world_size 4 --epochs 300 --batch_size 6 --lr_start 1e-4 --lr_end 1e-5"
    args = train_vimeo90k.parse_args(published.split())
    assert (args.world_size, args.epochs, args.batch_size, args.dynamic) == (4, 300, 6, False)
    for text, value in (("true", True), ("True", True), ("false", False)):
        assert train_vimeo90k.parse_args(["--dynamic", text]).dynamic is value
    assert train_vimeo90k.parse_args(["--data-root", "x"]).data_root == ["x"]
    mixed = ["--data_root", "x", "shapes:8", "--data_root", "y"]
    assert train_vimeo90k.parse_args(mixed).data_root == ["x", "shapes:8", "y"]
    assert train_vimeo90k.parse_args([]).data_root == ["vimeo_triplet"]
    with pytest.raises(SystemExit):
        train_vimeo90k.parse_args(["--dynamic", "perhaps"])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--world_size", "4"], "--world_size 4, but 1 process"),
        (["--crop_size", "40"], "multiple of 16, got 40"),
        (["--epochs", "0"], "--epochs must be positive"),
        (["--batch_size", "0"], "--batch_size must be positive"),
        (["--data_root", "nowhere"], "nowhere"),
        (["--classifier_only"], "--classifier_only is for the dynamic stage"),
        (["--exposure", "2"], "exposure is a probability and must be between 0 and 1, got 2.0"),
        (["--init_from", "nothing.pth"], r"no checkpoint at nothing\.pth"),
        (["--init_from", "", "--config", "huge"], "config must be one of"),
        (["--crop_size", "64", "--epochs", "1"], "does not fit"),
    ],
)
def test_wrong_options_are_named(data, tmp_path, extra, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train(data, tmp_path, *extra)


def test_clips_need_other_triplets_to_validate_on(data, tmp_path):
    args = train_vimeo90k.parse_args(["--data_root", str(data / "clips"), "--out", str(tmp_path)])
    with pytest.raises(ValueError, match="clips holds clips to train on; give other triplets to validate on"):
        train_vimeo90k.main(args)


def test_resuming_with_another_batch_size_or_from_weights_alone_is_refused(data, tmp_path):
    train(data, tmp_path, "--epochs", "1")
    with pytest.raises(ValueError, match="was made with --batch_size 2, not 3"):
        train(data, tmp_path, "--batch_size", "3", "--resume", str(tmp_path / "last.pth"))
    with pytest.raises(ValueError, match="holds weights alone; use --init_from"):
        train(data, tmp_path, "--resume", str(tmp_path / "best.pth"))


def test_the_dynamic_stage_without_static_weights_is_warned_of(data, tmp_path, capsys):
    with pytest.raises(FileNotFoundError):
        train(data, tmp_path, "--dynamic", "--init_from", "", "--data_root", "nowhere")
    assert "starts from static weights" in capsys.readouterr().out


@pytest.fixture(scope="module")
def any_time(data):
    """Weights of a tiny network that takes the time and correlates."""
    config = dataclasses.replace(TINY, any_time=True, correlation=1)
    torch.manual_seed(0)
    utils.save_checkpoint(
        data / "any_time.pth", {"model": WaveletVFI(config).state_dict(), "config": dataclasses.asdict(config)}
    )
    return str(data / "any_time.pth")


@pytest.mark.parametrize("warm_up", ["0", "1"])
def test_passes_and_times_are_drawn_for_every_step(data, any_time, tmp_path, monkeypatch, warm_up):
    seen, observe = [], WaveletVFI.perceive

    def spy(model, img0, img1, *, t=None, passes=None, pair=None):
        seen.append((t, passes))
        return observe(model, img0, img1, t=t, passes=passes, pair=pair)

    monkeypatch.setattr(WaveletVFI, "perceive", spy)
    flags = ["--init_from", any_time, "--epochs", "4", "--any_time", "0.9", "--strides", "1", "2"]
    flags += ["--scales", "0", "10", "1", "--weight_passes", "0.5", "--flow_warmup", warm_up]
    train(data, tmp_path, *flags)
    steps = [(t, passes) for t, passes in seen if isinstance(passes, tuple)]
    assert {passes for _, passes in steps} == {(0,), (1, 0), (1,)}
    assert {time for t, _ in steps for time in t.tolist()} == {0.25, 0.5, 0.75}
    losses = scalars(tmp_path, "loss/passes")
    assert [loss > 0 for loss in losses] == [passes != (0,) for _, passes in steps]
    terms = zip(*(scalars(tmp_path, f"loss/{name}") for name in Loss._fields if name != "total"), strict=True)
    assert scalars(tmp_path, "loss/total") == pytest.approx([sum(values) for values in terms], rel=1e-5)


def test_the_loss_of_passes_is_that_of_their_merged_frames_at_their_size():
    img0, imgt, img1 = torch.rand(3, 2, 3, 32, 48)
    still = torch.zeros(2, 5, 8, 12)
    still[:, 4] = 0.25
    small0, smallt, small1 = (F.avg_pool2d(image, 4) for image in (img0, imgt, img1))
    expected = reconstruction(0.25 * small0 + 0.75 * small1, smallt).mean()
    torch.testing.assert_close(passes_loss([still], img0, img1, imgt), expected)
    torch.testing.assert_close(passes_loss([still, still], img0, img1, imgt), 2 * expected)
    assert passes_loss([], img0, img1, imgt) == 0


def test_a_network_of_the_middle_alone_is_not_trained_on_other_times(data, tmp_path):
    with pytest.raises(ValueError, match="--any_time needs a network that takes the time as an input"):
        train(data, tmp_path, "--any_time", "0.5")
