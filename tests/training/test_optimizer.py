"""Muon: against the singular value decomposition, against AdamW, and through checkpoints."""

import copy

import pytest
import torch
from helpers.runs import TINY, make_data, train
from torch import nn

import utils
from models import WaveletVFI
from training import tools
from training.checkpoints import MOMENTA, SIZES, optimizer_state
from training.optimizer import Muon, make_optimizer, orthogonalize


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (40, 5), (1, 9)])
def test_an_orthogonalized_matrix_keeps_its_directions_and_has_singular_values_near_one(shape):
    matrix = torch.randn(shape) * 1e-4
    u, sizes, v = torch.linalg.svd(matrix, full_matrices=False)
    within = u.T @ orthogonalize(matrix) @ v.T
    torch.testing.assert_close(within, torch.diag(within.diag()), rtol=0, atol=1e-4)
    kept = sizes > 0.05 * sizes[0]  # five iterations bring smaller ones only part of the way
    assert ((within.diag()[kept] > 0.6) & (within.diag()[kept] < 1.3)).all()


def network():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.LeakyReLU(), nn.ConvTranspose2d(8, 5, 4), nn.Flatten(), nn.Linear(405, 2)
    )


def updated(model, optimizer, steps, first=0):
    for step in range(first, first + steps):
        torch.manual_seed(step)
        model(torch.randn(2, 3, 8, 8)).square().mean().backward()
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        optimizer.step()
        assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients, strict=True))
        optimizer.zero_grad()
    return model


def test_all_but_convolutions_learn_as_with_adamw():
    ours, theirs = network(), network()
    updated(ours, make_optimizer("muon", ours, 1e-2, "cpu"), 1)
    updated(theirs, make_optimizer("adamw", theirs, 1e-2, "cpu"), 1)
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other) == (one.dim() != 4)


def test_an_update_is_as_large_as_adamws():
    """The root mean square of a change is about 0.2 learning rates, whatever the gradient's size."""
    weight = nn.Parameter(torch.zeros(32, 16, 3, 3))
    for size in (1e-6, 1.0):
        weight.data.zero_()
        weight.grad = torch.randn_like(weight) * size
        Muon([weight], lr=1e-3).step()
        assert 1e-4 < weight.square().mean().sqrt() < 3e-4
        assert (weight * weight.grad).sum() < 0  # downhill


def test_memory_format_changes_nothing():
    plain = network()
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    for model in (plain, last):
        updated(model, Muon(model.parameters(), 1e-2), 2)
    for one, other in zip(plain.parameters(), last.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_its_state_continues():
    whole = updated(model := network(), Muon(model.parameters(), 1e-2), 4)
    half = network()
    optimizer = Muon(half.parameters(), 1e-2)
    updated(half, optimizer, 2)
    resumed = Muon(half.parameters(), 1e-2)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    updated(half, resumed, 2, first=2)
    for one, other in zip(whole.parameters(), half.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_its_trunk_and_its_branch(tmp_path):
    data = make_data(tmp_path)
    checkpoint = train(data, tmp_path / "run", "--epochs", "1", "--optimizer", "muon")
    source = tmp_path / "run" / "last.pth"
    tools.main(tools.parse_args(["pack", "--from", str(source), "--output", str(tmp_path / "trunk.pth")]))
    packed = utils.load_checkpoint(tmp_path / "trunk.pth")
    assert packed[MOMENTA] and packed[SIZES]
    model = WaveletVFI(TINY)
    optimizer = Muon(model.parameters(), 1e-3)
    optimizer.load_state_dict(optimizer_state(packed, model, optimizer))
    for number, parameter in enumerate(model.parameters()):
        before = checkpoint["optimizer"]["state"].get(number, {})
        if "momentum" in before:
            torch.testing.assert_close(optimizer.state[parameter]["momentum"], before["momentum"], rtol=2e-3, atol=1e-9)
            assert optimizer.state[parameter]["step"] == before["step"]
    branch = ["--epochs", "1", "--init_from", "", "--branch_from", str(tmp_path / "trunk.pth")]
    train(data, tmp_path / "branch", *branch, "--optimizer", "muon")
    with pytest.raises(ValueError, match=r"is of a run with --optimizer muon; a branch keeps it"):
        train(data, tmp_path / "other", *branch)
    with pytest.raises(ValueError, match=r"was made with --optimizer muon, not adamw"):
        train(data, tmp_path / "run", "--epochs", "2", "--resume", "auto")
