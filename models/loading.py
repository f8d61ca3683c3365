"""Networks from files."""

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
# The precision that a user of the video tool would choose, by kind of CPU; float32 on all others and, until one has
# been measured, on GPUs. `small` at 1280x720: with AVX-512 bf16, one thread, bf16 takes 0.69 of float32's time. With
# AMX, two threads, the edition before took 0.52. PSNR of bf16 against float32: `small` 59 dB and more (26 pairs of
# 448x256 to 1280x720), `base` 53 dB.
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
        for part in (model.context.frames, model.context.merged):
            part.compile(fullgraph=True)
        # The two halves of MP-Net: who keeps features of a frame calls them one by one.
        for half in ("encode", "decode"):
            setattr(model.motion, half, torch.compile(getattr(model.motion, half), fullgraph=True))
    return model.to(device, PRECISIONS[precision]).eval()


def choose_precision(device: str | torch.device) -> str:
    """Return what `--precision auto` stands for: "bf16" on a CPU that computes it natively, else "float32".

    It depends on the kind of processor alone, so that the same machine makes the same frames.
    """
    return BY_PROCESSOR.get(processor(), "float32") if torch.device(device).type == "cpu" else "float32"


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
