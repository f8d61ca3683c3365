"""Fixtures for every test: one seed, one copy of the reference network."""

import pytest
import torch
from helpers.reference import known_state_dict
from helpers.runs import end_launched

from models import WaveletVFI


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def nothing_left_running():
    yield
    end_launched()


@pytest.fixture(scope="session")
def known_model() -> WaveletVFI:
    """The paper's network with known weights. Tests must leave it as it was."""
    model = WaveletVFI("base").eval()
    model.load_state_dict(known_state_dict())
    return model


@pytest.fixture(scope="module")
def small():
    """The small network with heads that do something."""
    torch.manual_seed(1)
    model = WaveletVFI("small").eval()
    for head in (model.synthesis.low_head, *model.synthesis.high_heads):
        torch.nn.init.normal_(head.weight, std=0.003)
    return model
