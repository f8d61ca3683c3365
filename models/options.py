"""The network's options on a command line, the same for every script."""

import argparse
import math
from pathlib import Path

import torch

from .config import CONFIGS
from .loading import PRECISIONS, default_checkpoint, waveletvfi
from .sparse import METHODS
from .waveletvfi import WaveletVFI


def add_options(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Which weights (`several`: a list of them), how much computation, and how it is done."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        nargs="+" if several else None,
        help="weights of this project or the released ones; default: checkpoints/waveletvfi_latest.pth if it is there, "
        "else the shipped weights",
    )
    parser.add_argument("--config", choices=CONFIGS, default="base", help="widths, where the weights do not tell them")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--ratio", type=_amount, help="threshold ratio >= 0, 0 is dense; default: the network's choice")
    amount.add_argument(
        "--budget",
        type=_amount,
        help="instead: the sparse convolutions' cost at most, 1 being dense; per pair of frames",
    )
    parser.add_argument("--sparse", choices=METHODS, default="auto", help="how sparse convolutions are computed (auto)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="of the convolutions; fp16 needs a GPU (float32)"
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile for the dense parts; for long runs")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (auto)")


def network(args: argparse.Namespace, device: torch.device) -> WaveletVFI:
    """The network that the options describe. Raises what `waveletvfi` raises."""
    checkpoint = args.checkpoint or default_checkpoint()
    return waveletvfi(
        checkpoint,
        config=args.config,
        device=device,
        sparse=args.sparse,
        precision=args.precision,
        compile=args.compile,
    )


def _amount(text: str) -> float:
    amount = float(text)
    if not (math.isfinite(amount) and amount >= 0):
        raise argparse.ArgumentTypeError(f"must be finite and >= 0, got {text}")
    return amount
