"""Weights changed between two runs: what may not change the frames does not."""

import dataclasses

import pytest
import torch

from models import CONFIGS, WaveletVFI
from training.surgery import resize

SMALL = CONFIGS["small"]
WIDER = dataclasses.replace(
    SMALL,
    encoder=(16, 32, 40, 56),
    decoder=(32, 40, 64, 72),
    context=(16, 40, 48, 72),
    synthesis=(80, 144, 224, 200),
)


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
