"""The network's command line options, which are the same for every script."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import torch

from .config import CONFIGS
from .exported import OnnxModel
from .loading import AUTO, PRECISIONS, choose_precision, default_checkpoint, waveletvfi
from .passes import check_passes
from .sparse import METHODS
from .waveletvfi import WaveletVFI

GRAPH = ".onnx"


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


def passes_option(parser: argparse._ActionsContainer) -> None:
    """Add the option for the number of MP-Net's passes."""
    parser.add_argument(
        "--passes",
        type=_passes,
        help="how often the motion network runs from coarse to fine: auto (by the frame's size), or a number; 1 is "
        "the published network; default: that of the weights",
    )


def ensemble_option(parser: argparse._ActionsContainer) -> None:
    """Two predictions instead of one."""
    parser.add_argument(
        "--ensemble",
        action="store_true",
        help="average each frame with that of the reversed, mirrored pair: about 0.1 dB better, twice the time",
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
    passes_option(parser)
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
