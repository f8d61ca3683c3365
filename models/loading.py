"""Load networks from files."""

import dataclasses
from pathlib import Path

import torch

import utils

from .config import Config, config_of
from .passes import Passes
from .sparse.costs import processor
from .waveletvfi import WaveletVFI
from .weights import load_weights

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
AUTO = "auto"
# The precision that `--precision auto` stands for, by kind of CPU. It is float32 on all other CPUs, and on GPUs, which
# have not been measured. For `small` at 1280x720, bf16 takes 0.69 of the time of float32 with AVX-512 bf16 (one
# thread). An earlier version took 0.52 of the time with AMX (two threads). PSNR of bf16 against float32 is at least
# 59 dB for `small` (26 pairs of 448x256 to 1280x720), and 53 dB for `base`.
BY_PROCESSOR = {"AVX-512 bf16": "bf16", "AMX": "bf16"}


def waveletvfi(
    checkpoint: str | Path | None = None,
    *,
    config: Config | str = "base",
    device: str | torch.device | None = None,
    sparse: str = "auto",
    precision: str = "float32",
    compile: bool = False,
    passes: Passes | None = None,
) -> WaveletVFI:
    """Load a network, in evaluation mode.

    Args:
        checkpoint: a .pth or .safetensors file: written by this project, a plain state dict, or the released weights as
            downloaded. Default: new random weights of `config`.
        config: configuration, or its name, if the checkpoint contains none.
        device: device of the network. Default: CPU.
        sparse: method for sparse convolutions, one of `models.sparse.METHODS`. The results are equal.
        precision: number type of the convolutions, one of `PRECISIONS`. Positions and masks are always float32.
        compile: use torch.compile for the dense parts. The first pair of each frame size then takes a minute.
        passes: default number of MP-Net's passes from coarse to fine (1 is the published network), or "auto". Default:
            that of the checkpoint's configuration.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a checkpoint, or its weights belong to another network or are not finite; `sparse`,
            `precision` or `passes` is unknown; or fp16 was asked for without a GPU.
    """
    device = utils.pick_device(device or "cpu")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("precision fp16 needs a GPU; on a CPU use bf16")
    if checkpoint is None:
        model = WaveletVFI(config)
    else:
        content = utils.load_checkpoint(checkpoint)
        model = WaveletVFI(config_of(content, config, source=str(checkpoint)))
        load_weights(model, content["model"], source=str(checkpoint))
    model.sparse = sparse
    if passes is not None:
        model.config = dataclasses.replace(model.config, passes=passes)
    if compile:
        for part in (model.context.frames, model.context.merged):
            part.compile(fullgraph=True)
        # The two halves of MP-Net: who keeps features of a frame calls them one by one.
        for half in ("encode", "decode"):
            setattr(model.motion, half, torch.compile(getattr(model.motion, half), fullgraph=True))
    return model.to(device, PRECISIONS[precision]).eval()


def choose_precision(device: str | torch.device) -> str:
    """Return the precision for `--precision auto`: "bf16" on a CPU that computes it natively, else "float32".

    The choice depends on the kind of processor alone, so that the same machine always makes the same frames.
    """
    return BY_PROCESSOR.get(processor(), "float32") if torch.device(device).type == "cpu" else "float32"


def default_checkpoint() -> Path:
    """Return the path of the default weights: the released file if it is in `checkpoints/`, else the shipped ones.

    Raises:
        FileNotFoundError: there are no weights.
    """
    folder = Path(__file__).resolve().parent.parent / "checkpoints"
    names = ("waveletvfi_latest.pth", "waveletvfi_base.pth", "waveletvfi_small.pth")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"no weights in {folder} ({', '.join(names)}); give --checkpoint, see checkpoints/README.md"
    )
