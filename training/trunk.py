"""The state of a run in a small file, from which other runs branch (`python -m training.tools pack`).

The file holds each weight and the state of its optimizer in half precision, which is 4 bytes per weight. For AdamW, the
state is the size of the gradient; its momentum is left out, as a few steps find it again. For Muon, the state is the
momentum. `--branch_from` takes such a file.
"""

from typing import Any

import torch
from torch import Tensor, nn

import utils
from models import Config, WaveletVFI

SCALE = 1024.0  # gradients are small; multiplied by this, they are well inside the range of half precision
SIZES, MOMENTA = "gradient_sizes", "momenta"


def pack(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the small form of a run's checkpoint, such as last.pth.

    Returns:
        A dict with these entries, all tensors in half precision:
        model, config, position: as in the checkpoint.
        gradient_sizes: the root of AdamW's second moment times `SCALE`, by parameter.
        momenta: Muon's momentum times `SCALE`, by parameter.
        steps: the number of updates, by parameter.
    Raises:
        ValueError: the checkpoint holds weights alone, without the state of an optimizer.
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
    """Return the state for `optimizer.load_state_dict` from the small form. AdamW's momentum is 0."""
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
    """Load the state of another run's optimizer.

    Args:
        source: a run's checkpoint, or the small form of one.
        model: the network to train.
        optimizer: the optimizer of its parameters.
        name: the name of the optimizer, "adamw" or "muon".
    Raises:
        ValueError: the file holds weights alone, or its run had another optimizer.
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
