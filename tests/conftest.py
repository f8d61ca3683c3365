"""Fixtures for every test: one seed, one copy of the reference network."""

import pytest
import torch
from reference import known_state_dict

from models import WaveletVFI


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def known_model() -> WaveletVFI:
    """The paper's network with known weights. Tests must leave it as it was."""
    model = WaveletVFI("base").eval()
    model.load_state_dict(known_state_dict())
    return model
