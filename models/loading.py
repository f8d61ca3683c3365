"""Load networks from files, in Python and by the command line options that are the same for every script."""

import argparse
import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

import torch

import utils

from .config import AUTO, CONFIGS, Config, Passes, check_passes, config_of
from .exported import OnnxModel
from .sparse import METHODS
from .sparse.costs import processor
from .waveletvfi import WaveletVFI
from .weights import load_weights

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# The precision that `--precision auto` stands for, by kind of CPU. It is float32 on all other CPUs, and on GPUs, which
# have not been measured. For `small` at 1280x720, bf16 takes 0.63 of the time of float32 with AVX-512 bf16 (one
# thread). An earlier version took 0.52 of the time with AMX (two threads). PSNR of bf16 against float32 is at least
# 59 dB for `small` (26 pairs of 448x256 to 1280x720), and 53 dB for `base`.
BY_PROCESSOR = {"AVX-512 bf16": "bf16", "AMX": "bf16"}
# Every kind of CPU leaves the threshold ratio to the network. Milliseconds of CPU time for a pair of 1280x720, AVX-512
# bf16, one thread, the network's choice / everything computed: a moving camera 317 / 523 in float32, 184 / 287 in bf16;
# an insect 285 / 482, 184 / 256; a space shuttle before smooth clouds 353 / 515, 248 / 303. The choice loses 0.022 dB
# on the validation triplets.
GRAPH = ".onnx"


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


def add_weights(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add the options that choose the weights. With `several`, `--checkpoint` takes a list."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        nargs="+" if several else None,
        help="weights of this project or the released ones (.pth, .safetensors), or a graph (.onnx); default: "
        "checkpoints/waveletvfi_latest.pth if it exists, else the shipped weights",
    )
    parser.add_argument("--config", choices=CONFIGS, default="base", help="widths, if the weights do not contain them")


def ratio_option(parser: argparse._ActionsContainer) -> None:
    """Add the option for the threshold ratio, which sets the amount of computation."""
    parser.add_argument(
        "--ratio",
        type=_amount,
        help="threshold ratio >= 0: 0 computes all details, a larger one fewer; default: the network's choice",
    )


def add_options(parser: argparse.ArgumentParser, *, several: bool = False, precision: str = "float32") -> None:
    """Add the options that choose the weights, the amount of computation, and how it is done.

    Args:
        parser: the parser to add them to.
        several: let `--checkpoint` take a list.
        precision: default precision, one of `PRECISIONS` or "auto". Users can choose "auto" only if it is the default.
    """
    add_weights(parser, several=several)
    amount = parser.add_mutually_exclusive_group()
    ratio_option(amount)
    amount.add_argument(
        "--budget",
        type=_amount,
        help="instead of a ratio: the largest cost of the sparse convolutions per pair of frames, 1 is dense",
    )
    parser.add_argument(
        "--passes",
        type=_passes,
        help="how often the motion network runs from coarse to fine: auto (by the frame's size), or a number; 1 is "
        "the published network; default: that of the weights",
    )
    parser.add_argument("--sparse", choices=METHODS, default="auto", help="method for sparse convolutions (auto)")
    precisions, meaning = list(PRECISIONS), ""
    if precision == AUTO:
        precisions, meaning = [*PRECISIONS, AUTO], "auto: bf16 if the CPU computes it natively, else float32; "
    parser.add_argument(
        "--precision",
        choices=precisions,
        default=precision,
        help=f"number type of the convolutions; {meaning}fp16 needs a GPU (%(default)s)",
    )
    parser.add_argument("--compile", action="store_true", help="use torch.compile for the dense parts; for long runs")
    parser.set_defaults(onnx=False)
    parser.add_argument(
        "--device",
        action=_Device,
        default="auto",
        help="auto, cpu, cuda, cuda:1, mps, or onnx: a graph from export_onnx.py on the CPU (auto)",
    )


def spell_out(argv: list[str] | None) -> list[str]:
    """Return the arguments with `--device onnx model.onnx` spelled out as `--device onnx --checkpoint model.onnx`.

    Args:
        argv: the arguments. Default: those of the command line.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for i, word in enumerate(words):
        is_onnx = word == "--device=onnx" or words[max(i - 1, 0) : i + 1] == ["--device", "onnx"]
        if is_onnx and words[i + 1 : i + 2] and words[i + 1].endswith(GRAPH):
            return [*words[: i + 1], "--checkpoint", *words[i + 1 :]]
    return words


def network(args: argparse.Namespace, device: torch.device) -> WaveletVFI | OnnxModel:
    """Load the network that the options describe.

    Raises:
        OSError, ValueError: errors of `waveletvfi` and `OnnxModel`, or options that a graph does not have.
    """
    checkpoint = args.checkpoint or default_checkpoint()
    if checkpoint.suffix == GRAPH:
        if args.compile or args.sparse != "auto" or args.precision not in ("float32", AUTO) or args.passes is not None:
            raise ValueError(
                f"{checkpoint} is a graph: --passes, --sparse, --precision and --compile were decided when it was made"
            )
        return OnnxModel(checkpoint, device)
    if args.onnx:
        raise ValueError(f"--device onnx needs a graph, got {checkpoint}; export_onnx.py makes one, for --checkpoint")
    return waveletvfi(
        checkpoint,
        config=args.config,
        device=device,
        sparse=args.sparse,
        precision=choose_precision(device) if args.precision == AUTO else args.precision,
        compile=args.compile,
        passes=args.passes,
    )


class _Device(argparse.Action):
    """The action of `--device`. The device `onnx` stands for a graph on the CPU."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        namespace.onnx = values == "onnx"
        namespace.device = "cpu" if namespace.onnx else values


def _passes(text: str) -> int | str:
    passes = int(text) if text.isdecimal() else text
    try:
        check_passes(passes)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return passes


def _amount(text: str) -> float:
    amount = float(text)
    if not (math.isfinite(amount) and amount >= 0):
        raise argparse.ArgumentTypeError(f"must be finite and >= 0, got {text}")
    return amount
