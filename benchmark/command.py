"""The command line that all benchmark scripts share."""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from datasets import FrameSet
from models import default_checkpoint
from models.loading import add_options, network
from utils import Process, init_distributed, logger

from .methods import Method, OurNetwork, average, open_peer
from .metrics import open_perceptual
from .page import write_page
from .runner import evaluate
from .scores import Store, digest, surroundings
from .tables import describe_run, format_failures, format_perfect, format_table, table, write_report

INCOMPLETE = 3  # exit status if some frames could not be scored
ARITHMETIC = ("precision", "sparse", "compile", "config", "passes")  # options on which scores depend


def script_of(
    description: str, dataset: type[FrameSet], data: str, option: str | None = None, **settings: Any
) -> tuple[Callable[..., argparse.Namespace], Callable[..., None]]:
    """Return the functions `parse_args` and `main` of a script.

    Args:
        description: the script's docstring. --help also names the data and their layout.
        dataset: the class of its set.
        data: the help text of --data_root.
        option: the name of the option that the script has beside the common ones. Its value is the second argument of
            `dataset`. Each of several values opens a set.
        settings: the further arguments of `add_argument` for this option.
    """

    def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
        parser = build_parser(f"{description}\nData: {dataset.source}\nLayout: {dataset.layout}", data)
        if option:
            parser.add_argument(f"--{option}", **settings)
        args = parser.parse_args(arguments)
        if args.sweep and (args.ratio is not None or args.budget is not None):
            parser.error("give one of --sweep, --ratio and --budget")
        if args.half and args.precision != "float32":
            parser.error("give one of --half and --precision")
        if args.output.is_file():
            parser.error(f"--output {args.output} is a file; name a folder")
        return args

    def main(args: argparse.Namespace) -> None:
        if option is None:
            sets = [dataset(args.data_root)]
        else:
            chosen = getattr(args, option)
            sets = [dataset(args.data_root, value) for value in (chosen if "nargs" in settings else [chosen])]
        run(args, sets)

    return parse_args, main


def build_parser(description: str, data_help: str) -> argparse.ArgumentParser:
    """Return a parser with the options that all scripts share. `data_help` is the help text of --data_root."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0; 1: nothing could be evaluated; 3: some images could not be scored, see the report.",
    )
    parser.add_argument("--data_root", "--data-root", type=Path, required=True, help=data_help)
    add_options(parser, several=True)
    parser.add_argument("--half", action="store_true", help="half precision: --precision fp16 on a GPU, bf16 on a CPU")
    parser.add_argument(
        "--sweep",
        type=_sweep,
        help="several threshold ratios in one run, such as 0,0.005,0.01,0.015,auto (auto: the network's choice)",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        help="another method to compare with: module:function of two tensors (B, 3, H, W), and of t if it takes three; "
        "can be repeated",
    )
    parser.add_argument("--batch_size", "--batch-size", type=int, default=1, help="samples of a batch, per process (1)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read images (0)")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="keep the scores of a stopped run; scores of other weights, options, code or images are computed again. "
        "Changed weights of a peer are not noticed, only its changed source file",
    )
    parser.add_argument("--output", type=Path, default=Path("results"), help="folder of the reports (results)")
    return parser


def run(args: argparse.Namespace, sets: Sequence[FrameSet]) -> None:
    """Evaluate all methods on every set, print the tables and write the reports.

    Exit with status 3 if some frames could not be scored.
    """
    process = init_distributed(args.device)
    torch.backends.cudnn.allow_tf32 = False  # thus scores are those of float32 on every device
    methods, weights = _open_methods(args, process)
    perceptual, missing = open_perceptual(process.device)
    if process.is_main and missing:
        print(*missing, sep="\n", file=sys.stderr)
    code, failed = surroundings(process.device)["code"], False
    for dataset in sets:
        folder = args.output / dataset.title
        results = evaluate(
            dataset,
            methods,
            process=process,
            batch_size=args.batch_size,
            workers=args.workers,
            store=Store(folder, process, resume=args.resume),
            perceptual=perceptual,
        )
        failed |= bool(results.failures)
        if process.is_main:
            setting = {"checkpoints": weights, "code": code, "precision": args.precision, "settings": dataset.settings}
            origin = describe_run(setting, process.device)
            complete = len(dataset) == dataset.published and not results.failures
            write_report(folder, results, origin, complete=complete)
            write_page(
                folder / "report.html", dataset, methods, results, origin, device=process.device, complete=complete
            )
            print(f"{dataset.title}, {len(dataset)} samples; reports in {folder}")
            print(format_table(table(results, complete=complete)))
            if perfect := format_perfect(results):
                logger.warning("%s: %s", dataset.title, perfect)
            if failures := format_failures(results):
                logger.error("%s: %s", dataset.title, failures)
    if process.world_size > 1:  # torchrun ends all processes as soon as one fails, even while another writes a report
        dist.barrier()
    if failed:
        sys.exit(INCOMPLETE)


def _open_methods(args: argparse.Namespace, process: Process) -> tuple[list[Method], list[dict[str, str]]]:
    """Open our network with each checkpoint, the peers and the average. Return them, and the files of the weights."""
    if args.half:
        args.precision = "bf16" if process.device.type == "cpu" else "fp16"
    options = [{"ratio": ratio} for ratio in args.sweep or ()] or [{"ratio": args.ratio, "budget": args.budget}]
    methods, weights, checkpoints = [], [], args.checkpoint or [default_checkpoint()]
    names = [checkpoint.name for checkpoint in checkpoints]
    for checkpoint in checkpoints:
        model = network(argparse.Namespace(**vars(args) | {"checkpoint": checkpoint}), process.device)
        sha256 = digest(checkpoint.read_bytes())
        arithmetic = {name: getattr(args, name) for name in ARITHMETIC}
        name = checkpoint.name if names.count(checkpoint.name) == 1 else str(checkpoint)
        methods.append(OurNetwork(model, name, options, {"weights": sha256} | arithmetic))
        weights.append({"file": name, "sha256": sha256})
    return [*methods, *map(open_peer, args.peer), average()], weights


def _sweep(text: str) -> list[float | None]:
    """Parse ratios such as "0,0.01,auto". None stands for the network's choice."""
    ratios = []
    for part in text.split(","):
        try:
            ratio = None if part.strip() == "auto" else float(part)
        except ValueError:
            ratio = math.nan
        if ratio is not None and not (math.isfinite(ratio) and ratio >= 0):
            raise argparse.ArgumentTypeError(f"ratios >= 0 and auto are needed, got {part.strip()!r}")
        ratios.append(ratio)
    if len(set(ratios)) < len(ratios):
        raise argparse.ArgumentTypeError(f"give every ratio once, got {text}")
    return ratios
