"""Networks from files."""

import dataclasses
from pathlib import Path

import torch

import utils

from .config import Config, config_of
from .passes import Passes
from .waveletvfi import WaveletVFI
from .weights import load_weights

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
    """The network in evaluation mode.

    Args:
        checkpoint: a file written by this project, a plain state dict, or the released weights as downloaded; .pth or
            .safetensors. None: fresh weights of `config`.
        config: the configuration where the checkpoint does not carry one.
        device: where to; default CPU.
        sparse: how sparse convolutions are computed, one of `models.sparse.METHODS`.
        precision: of the convolutions, one of `PRECISIONS`; positions and masks are float32 in any case.
        compile: the dense parts with torch.compile; the first pair of each frame size then takes a minute.
        passes: how often MP-Net runs from coarse to fine unless a call says otherwise: a number, 1 being the published
            network, or "auto". Default: what the checkpoint's configuration says.
    Raises:
        FileNotFoundError, ValueError: no such file; not a checkpoint; weights of another network or not finite;
            unknown `sparse`, `precision` or `passes`, or fp16 without a GPU.
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
        for part in (model.motion, model.context.frames, model.context.merged):
            part.compile(fullgraph=True)
    return model.to(device, PRECISIONS[precision]).eval()


def default_checkpoint() -> Path:
    """The weights used when none are named: the released file if it is in `checkpoints/`, else the shipped ones.

    Raises FileNotFoundError where there are none.
    """
    folder = Path(__file__).resolve().parent.parent / "checkpoints"
    names = ("waveletvfi_latest.pth", "waveletvfi_base.pth", "waveletvfi_small.pth")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"no weights in {folder} ({', '.join(names)}); give --checkpoint, see checkpoints/README.md"
    )
