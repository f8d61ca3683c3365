"""Weights changed between two runs: what may not change the frames does not."""

import dataclasses
from pathlib import Path

import pytest
import torch
from helpers.runs import MIDDLE, TINY, make_data, train

import utils
from models import Config, WaveletVFI, waveletvfi
from models.weights import save_weights
from training import tools
from training.checkpoints import SCALE, SIZES, optimizer_state, pack
from training.surgery import graft, mean, redraw, rescale, resize

SMALL = dataclasses.replace(
    MIDDLE,
    encoder=(16, 24, 32, 40),
    decoder=(24, 40, 56, 64),
    context=(16, 32, 48, 64),
    synthesis=(72, 144, 216, 192),
)
WIDER = dataclasses.replace(
    SMALL,
    encoder=(16, 32, 40, 56),
    decoder=(32, 40, 64, 72),
    context=(16, 40, 48, 72),
    synthesis=(80, 144, 224, 200),
)


@pytest.fixture(scope="module")
def small():
    """A network with heads that do something."""
    torch.manual_seed(1)
    model = WaveletVFI(SMALL).eval()
    for head in (model.synthesis.low_head, *model.synthesis.high_heads):
        torch.nn.init.normal_(head.weight, std=0.003)
    return model


def resized(model, config, **options):
    other = WaveletVFI(config).eval()
    other.load_state_dict(resize(model.state_dict(), model.config, config, **options))
    return other


@pytest.mark.parametrize(
    "config",
    [SMALL, WIDER, dataclasses.replace(SMALL, any_time=True), dataclasses.replace(WIDER, correlation=2, any_time=True)],
)
def test_wider_layers_and_new_inputs_change_no_frame(small, config):
    img0, img1 = torch.rand(2, 1, 3, 48, 64)
    expected, output = small(img0, img1, ratio=0.0), resized(small, config)(img0, img1, ratio=0.0)
    torch.testing.assert_close(output.motion.flow_t0, expected.motion.flow_t0, rtol=0, atol=1e-4)
    torch.testing.assert_close(output.motion.ratio_logits, expected.motion.ratio_logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.frame, expected.frame, rtol=0, atol=1e-4)


def test_a_wider_network_narrowed_again_is_the_first(small):
    there = resize(small.state_dict(), SMALL, WIDER)
    back = resize(there, WIDER, SMALL)
    for name, value in small.state_dict().items():
        torch.testing.assert_close(back[name], value, rtol=0, atol=0)


def test_new_channels_are_drawn_from_the_seed_and_learn(small):
    one, same, other = (resized(small, WIDER, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.motion.decoders[0].hidden[0][0].weight, same.motion.decoders[0].hidden[0][0].weight)
    assert not torch.equal(one.motion.decoders[0].hidden[0][0].weight, other.motion.decoders[0].hidden[0][0].weight)
    img0, img1 = torch.rand(2, 1, 3, 48, 64)
    one(img0, img1, ratio=0.0).frame.sum().backward()
    new = one.motion.decoders[0].hidden[1][0].weight.grad[:24, 24:]  # what old channels may come to read of new ones
    assert new.abs().max() > 0


def test_a_narrower_network_keeps_the_channels_that_matter(small):
    """Channels that nobody reads, or that are always 0, go first: without them the frames stay."""
    model = WaveletVFI(WIDER).eval()
    model.load_state_dict(resize(small.state_dict(), SMALL, WIDER))
    narrow = dataclasses.replace(WIDER, decoder=SMALL.decoder)
    img0, img1 = torch.rand(2, 1, 3, 48, 64)
    expected, output = model(img0, img1, ratio=0.0), resized(model, narrow)(img0, img1, ratio=0.0)
    torch.testing.assert_close(output.frame, expected.frame, rtol=0, atol=1e-4)


def test_a_mean_of_one_network_is_itself_and_of_two_lies_between(small):
    state = small.state_dict()
    other = {name: value + 1 for name, value in state.items()}
    for name, value in mean([state, other], [0.25, 0.75]).items():
        torch.testing.assert_close(value, state[name] + 0.75)
    for shares in ([1.0], [0.5, 0.6]):
        with pytest.raises(ValueError, match="must be as many and add up to 1"):
            mean([state, other], shares)
    with pytest.raises(ValueError, match="a mean needs networks of one configuration"):
        mean([state, WaveletVFI(TINY).state_dict()], [0.5, 0.5])


def test_redrawing_touches_one_part_alone(small):
    state = small.state_dict()
    drawn = redraw(state, SMALL, "motion.classifier", seed=5)
    changed = {name for name in state if not torch.equal(state[name], drawn[name])}
    assert changed and all(name.startswith("motion.classifier.") for name in changed)
    with pytest.raises(ValueError, match=r"there is no part 'motion.classifiers'"):
        redraw(state, SMALL, "motion.classifiers")


@pytest.mark.parametrize("level", [1, 4])
def test_rescaling_changes_what_the_classifier_reads_and_nothing_else(small, level):
    config = dataclasses.replace(SMALL, classifier_level=level)
    before, model = resized(small, config), WaveletVFI(config).eval()
    pairs = [tuple(torch.rand(2, 2, 3, 48, 64)) for _ in range(3)]
    model.load_state_dict(rescale(before, pairs))
    for img0, img1 in pairs:
        ours, theirs = model.motion(img0, img1), before.motion(img0, img1)
        torch.testing.assert_close(ours.flow_t0, theirs.flow_t0, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.ratio_logits, theirs.ratio_logits, rtol=1e-3, atol=1e-4)
    seen = []
    hidden = model.motion.decoders[level - 1].hidden
    hidden.register_forward_hook(lambda module, inputs, hidden: seen.append(hidden))
    for img0, img1 in pairs:
        model.perceive(img0, img1)
    sizes = torch.stack([(hidden**2).mean((0, 2, 3)) for hidden in seen]).mean(0).sqrt()
    torch.testing.assert_close(sizes, torch.ones_like(sizes))


@pytest.mark.parametrize("level", [1, 4])
def test_a_grafted_classifier_reads_its_input_as_it_was_scaled_when_it_was_trained(small, level):
    config = dataclasses.replace(SMALL, classifier_level=level)
    model, pair = resized(small, config), torch.rand(2, 2, 3, 48, 64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    donor = redraw(rescale(model, [tuple(pair)]), config, "motion.classifier", seed=7)  # stands for a trained one
    same = graft(before, donor, before, config)
    for name, value in donor.items():
        torch.testing.assert_close(same[name], value)
    other = {name: value + 0.01 * torch.randn_like(value) for name, value in before.items()}
    model.load_state_dict(other)
    expected = model.motion(*pair)
    model.load_state_dict(graft(other, donor, before, config))
    found = model.motion(*pair)
    torch.testing.assert_close(found.flow_t0, expected.flow_t0, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found.ratio_logits, expected.ratio_logits)


def test_a_classifier_that_reads_another_level_is_drawn_anew_and_the_rest_stays(small):
    other = resized(small, dataclasses.replace(SMALL, classifier_level=5 - SMALL.classifier_level))
    before, after = small.state_dict(), other.state_dict()
    for name, value in after.items():
        if not name.startswith("motion.classifier."):
            assert torch.equal(value, before[name]), name
    pair = torch.rand(2, 1, 3, 48, 64)
    assert torch.equal(other.motion(*pair).flow_t1, small.motion(*pair).flow_t1)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A checkpoint of a short run."""
    folder = tmp_path_factory.mktemp("run")
    train(make_data(folder), folder / "run", "--epochs", "2")
    return folder / "run" / "last.pth"


def test_a_packed_trunk_keeps_weights_and_the_size_of_every_gradient(run, tmp_path):
    checkpoint = utils.load_checkpoint(run)
    tools.main(tools.parse_args(["pack", "--from", str(run), "--output", str(tmp_path / "trunk.pth")]))
    packed = utils.load_checkpoint(tmp_path / "trunk.pth")
    assert packed["position"] == checkpoint["position"]
    assert (tmp_path / "trunk.pth").stat().st_size < 0.45 * run.stat().st_size
    for name, value in checkpoint["model"].items():
        torch.testing.assert_close(packed["model"][name].float(), value, rtol=1e-3, atol=1e-6)
    model = WaveletVFI(TINY)
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.load_state_dict(optimizer_state(packed, model, optimizer))
    for number, parameter in enumerate(model.parameters()):
        if number in checkpoint["optimizer"]["state"]:
            expected, found = checkpoint["optimizer"]["state"][number], optimizer.state[parameter]
            torch.testing.assert_close(
                found["exp_avg_sq"].sqrt(), expected["exp_avg_sq"].sqrt(), rtol=2e-3, atol=1e-7 / SCALE
            )
            assert found["step"] == expected["step"] and not found["exp_avg"].any()
        else:
            assert parameter not in optimizer.state
    with pytest.raises(ValueError, match="holds weights alone"):
        pack({"model": checkpoint["model"], "config": checkpoint["config"]})
    assert SIZES in packed
    words = ["pack", "--averaged", "--from", str(run), "--output", str(tmp_path / "average.pth")]
    tools.main(tools.parse_args(words))
    for name, value in utils.load_checkpoint(tmp_path / "average.pth")["model"].items():
        torch.testing.assert_close(value.float(), checkpoint["average"][f"module.{name}"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("source", ["checkpoint", "packed"])
def test_a_branch_takes_over_weights_and_optimizer(run, tmp_path, source):
    if source == "packed":
        tools.main(tools.parse_args(["pack", "--from", str(run), "--output", str(tmp_path / "trunk.pth")]))
        run = tmp_path / "trunk.pth"
    steps = utils.load_checkpoint(run)["position"]["step"]
    data = make_data(tmp_path)
    flags = ["--epochs", "1", "--lr_start", "1e-9", "--lr_end", "1e-9", "--init_from", "", "--branch_from"]
    state = train(data, tmp_path / "branch", *flags, str(run))
    assert state["position"]["step"] < steps  # a run of its own
    assert {int(entry["step"]) for entry in state["optimizer"]["state"].values()} == {steps + state["position"]["step"]}
    for name, value in utils.load_checkpoint(run)["model"].items():
        torch.testing.assert_close(state["model"][name], value.float(), rtol=0, atol=1e-5)
    save_weights(WaveletVFI(TINY), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="holds weights alone; use --init_from"):
        train(data, tmp_path / "other", *flags, str(tmp_path / "weights.pth"))
    with pytest.raises(ValueError, match="--init_from takes weights alone"):
        train(data, tmp_path / "both", "--branch_from", str(run))


def test_files_are_changed_as_the_functions_say(run, tmp_path, small):
    save_weights(small, tmp_path / "a.pth")

    def tool(*words):
        tools.main(tools.parse_args([*words, "--output", str(tmp_path / "b.pth")]))
        return waveletvfi(tmp_path / "b.pth")

    wide = tool(
        "resize", "--set", "decoder=32,40,64,72", "correlation=2", "any_time=true", "--from", str(tmp_path / "a.pth")
    )
    assert wide.config == dataclasses.replace(SMALL, decoder=(32, 40, 64, 72), correlation=2, any_time=True)
    both = tool("mean", "--from", f"{tmp_path / 'a.pth'}:0.5", f"{tmp_path / 'a.pth'}:0.5", "--half")
    name = "motion.encoder.levels.0.0.0.weight"
    torch.testing.assert_close(both.state_dict()[name], small.state_dict()[name].half().float())
    alone = tool("average", "--from", str(run))
    expected = utils.load_checkpoint(run)["average"][f"module.{name}"]
    torch.testing.assert_close(alone.state_dict()[name], expected)
    with pytest.raises(ValueError, match="holds no average"):
        tool("average", "--from", str(tmp_path / "a.pth"))


def test_the_trunk_of_this_repository_is_a_trunk():
    """What the next run continues: small enough, whole, and of a network that takes the time."""
    path = Path(__file__).parents[2] / "training" / "trunk_small.pth"
    packed = utils.load_checkpoint(path)
    model = WaveletVFI(Config(**packed["config"]))
    model.load_state_dict(packed["model"])
    assert path.stat().st_size < 12e6
    assert model.config.any_time and model.config.correlation
    state = optimizer_state(packed, model, torch.optim.AdamW(model.parameters()))["state"]
    names = [name for name, _ in model.named_parameters()]
    assert {names[number] for number in state} >= {name for name in names if name.startswith("motion.decoders.")}
