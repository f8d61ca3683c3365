"""The checkpoints of a run: the last few, such as step_00001200.pth, and last.pth, which is the newest of them.

Other runs branch from a small file of a run's state (`python -m training.tools pack`, `--branch_from`). It holds each
weight and the state of its optimizer in half precision, which is 4 bytes per weight. For AdamW, the state is the size
of the gradient; its momentum is left out, as a few steps find it again. For Muon, the state is the momentum.
"""

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import utils
from models import Config, WaveletVFI

LAST, AUTO = "last.pth", "auto"
#: The options that a resumed run must share with the run that it continues.
KEPT_OPTIONS = (
    "dynamic",
    "classifier_only",
    "batch_size",
    "accumulate",
    "seed",
    "crop_size",
    "precision",
    "ema",
    "optimizer",
    "world_size",
)
OLDER_OPTIONS = {"optimizer": "adamw"}  # the values of runs that began before an option existed
SCALE = 1024.0  # gradients are small; multiplied by this, they are well inside the range of half precision
SIZES, MOMENTA = "gradient_sizes", "momenta"


def find(folder: Path, resume: str | None) -> tuple[str, dict[str, Any] | None]:
    """Find the checkpoint from which a run continues.

    Args:
        folder: the folder to which the run writes.
        resume: None for a fresh run, "auto" to continue the run in `folder` if there is one, or the path of a folder
            or checkpoint.
    Returns:
        The path and the content of the checkpoint, or "" and None for a fresh run.
    Raises:
        FileNotFoundError: as `load_newest`.
        ValueError: as `load_newest`, or the run is fresh and `folder` holds a run already.
    """
    remove_unfinished(folder)
    there = list_newest(folder)
    if resume == AUTO:
        resume = folder if there else None
    elif there and not resume:
        raise ValueError(
            f"{folder} holds a run already ({there[0].name}); continue it with --resume auto, or give another --out"
        )
    if not resume:
        return "", None
    path, checkpoint = load_newest(Path(resume))
    return str(path), checkpoint


def save(folder: Path, state: dict[str, Any], *, step: int, keep: int) -> None:
    """Write the checkpoint of `step`, also as last.pth, and remove all but the `keep` newest ones.

    A complete checkpoint exists at every moment: an old one is removed after the new one has its name.
    """
    path = folder / f"step_{step:08d}.pth"
    utils.save_checkpoint(path, state)
    with utils.atomic_path(folder / LAST) as temporary:
        temporary.unlink()
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, temporary)
    _sync_names(folder)
    for old in _steps_of(folder)[keep:]:
        old.unlink(missing_ok=True)


def load_newest(place: Path) -> tuple[Path, dict[str, Any]]:
    """Load the checkpoint `place`, or the newest one in the folder `place`.

    If it cannot be read or holds numbers that are not finite, load the one before it, with a warning.

    Returns:
        The path and the content of the checkpoint.
    Raises:
        FileNotFoundError: there is no such file, or no checkpoint in the folder.
        ValueError: no checkpoint can be read and is finite.
    """
    candidates = list_newest(place) if place.is_dir() else [place]
    if not candidates:
        raise FileNotFoundError(f"no checkpoint ({LAST}, step_*.pth) in {place}; --resume auto would start afresh")
    if candidates[0].is_file():
        candidates += [path for path in list_newest(place.parent) if not path.samefile(candidates[0])]
    errors = []
    for path in dict.fromkeys(candidates):
        try:
            checkpoint = utils.load_checkpoint(path)
        except ValueError as error:
            errors.append(str(error))
            continue
        if broken := next(_not_finite(checkpoint), None):
            errors.append(f"{path} holds NaN or infinite numbers ({broken})")
            continue
        if errors:
            warnings.warn(f"{'; '.join(errors)}: going on from {path}", stacklevel=2)
        return path, checkpoint
    raise ValueError(f"no checkpoint can be read: {'; '.join(errors)}")


def list_newest(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder, each once, the newest first. Return an empty list if there is no folder."""
    last, steps = folder / LAST, _steps_of(folder)
    if not last.is_file():
        return steps
    return [last, *(path for path in steps if not path.samefile(last))]


def remove_unfinished(folder: Path) -> None:
    """Remove the unfinished files of a process that was killed while it wrote a checkpoint."""
    for path in (*folder.glob(".step_*.part.pth"), *folder.glob(".last.*.part.pth"), *folder.glob(".best.*.part.pth")):
        path.unlink(missing_ok=True)


def check_options(source: str, checkpoint: dict[str, Any], kept: dict[str, Any]) -> None:
    """Raise ValueError if a checkpoint holds weights alone, or if its options differ from `kept`."""
    if "options" not in checkpoint:
        raise ValueError(f"{source} holds weights alone; use --init_from, or --resume a last.pth")
    for name, now in kept.items():
        before = checkpoint["options"].get(name, OLDER_OPTIONS.get(name))
        if before != now:
            raise ValueError(
                f"{source} was made with --{name} {before}, not {now}; "
                "a resumed run keeps it (a new stage starts with --init_from)"
            )


def _not_finite(content: object, name: str = "") -> Iterator[str]:
    """Yield the names of all tensors of a checkpoint that hold NaN or infinity."""
    if isinstance(content, torch.Tensor) and content.is_floating_point() and not content.isfinite().all():
        yield name
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _not_finite(value, f"{name}.{key}" if name else str(key))


def _sync_names(folder: Path) -> None:
    """Write the folder's names to disk, so that a power cut cannot lose the new file after the old one is removed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _steps_of(folder: Path) -> list[Path]:
    """Return the checkpoints of steps, the one written last first. A run may have gone back to an earlier step."""
    return sorted(folder.glob("step_*.pth"), key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


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
