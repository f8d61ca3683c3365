"""A run's state in a small file: what other runs branch from, on any machine (`python -m training.tools pack`).

The file holds the weights, and of each what its optimizer knows, in half precision: 4 bytes a weight. Of AdamW that is
the size of the gradient (its momentum is left out; a few steps find it again), of Muon the momentum, which is all it
has. `--branch_from` takes such a file.
"""

from typing import Any

import torch
from torch import Tensor, nn

import utils
from models import Config, WaveletVFI

SCALE = 1024.0  # gradients are small: their sizes, times this, are well inside half precision
SIZES, MOMENTA = "gradient_sizes", "momenta"


def pack(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the small form of a run's checkpoint, such as last.pth.

    Returns:
        model, config and position as in the checkpoint, the weights in half precision; gradient_sizes: by parameter,
        the root of AdamW's second moment times `SCALE`, in half precision; momenta: by parameter, Muon's momentum times
        `SCALE`, in half precision; steps: by parameter, the updates behind it.
    Raises:
        ValueError: weights alone, without an optimizer's state.
    """
    if "optimizer" not in checkpoint:
        raise ValueError("the checkpoint holds weights alone; give a run's last.pth")
    names = [name for name, _ in WaveletVFI(Config(**checkpoint["config"])).named_parameters()]
    states = {names[number]: state for number, state in checkpoint["optimizer"]["state"].items()}
    return {
        "model": {name: value.half() for name, value in checkpoint["model"].items()},
        "config": checkpoint["config"],
        "position": checkpoint["position"],
        SIZES: {n: (state["exp_avg_sq"].sqrt() * SCALE).half() for n, state in states.items() if "exp_avg_sq" in state},
        MOMENTA: {n: (state["momentum"] * SCALE).half() for n, state in states.items() if "momentum" in state},
        "steps": {name: float(state["step"]) for name, state in states.items()},
    }


def optimizer_state(packed: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state for `optimizer.load_state_dict` from the small form; AdamW's momentum is 0."""
    state: dict[int, dict[str, Tensor]] = {}
    for number, (name, parameter) in enumerate(model.named_parameters()):
        if name in packed[SIZES]:
            moments = (packed[SIZES][name].float() / SCALE) ** 2
            state[number] = {"exp_avg": torch.zeros_like(parameter), "exp_avg_sq": moments}
        elif name in packed.get(MOMENTA, {}):
            state[number] = {"momentum": packed[MOMENTA][name].float() / SCALE}
        if number in state:
            state[number]["step"] = torch.tensor(packed["steps"][name])
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}


def take_over_optimizer(source: str, model: nn.Module, optimizer: torch.optim.Optimizer, name: str) -> None:
    """Load the optimizer's state of another run: its estimates of every gradient's size.

    name: of the optimizer, "adamw" or "muon". Raises ValueError for weights alone, or a run with another optimizer.
    """
    checkpoint = utils.load_checkpoint(source)
    if SIZES in checkpoint:
        checkpoint["optimizer"] = optimizer_state(checkpoint, model, optimizer)
    if "optimizer" not in checkpoint:
        raise ValueError(f"{source} holds weights alone; use --init_from, or --branch_from a run's last.pth")
    theirs = "muon" if any("momentum" in state for state in checkpoint["optimizer"]["state"].values()) else "adamw"
    if theirs != name:
        raise ValueError(f"{source} is of a run with --optimizer {theirs}; a branch keeps it, or use --init_from")
    optimizer.load_state_dict(checkpoint["optimizer"])
