"""Measure speed: of the network, of the whole tool, and of the wavelets.

Compared calls take turns, so that a busy machine slows all of them alike.

    python benchmark/speed.py --network --sizes 448x256 1280x720 --costs 1 0.4 0.2 \\
        --paths masked auto folded gather auto:bf16 --threads 2 --repeats 5
    python benchmark/speed.py --tool --peer their_network:middle
    python benchmark/speed.py --tune
    python benchmark/speed.py --network --plot --parts --sizes 448x256 --paths auto folded
    pip install --no-deps --target reference_wavelets pytorch_wavelets==1.3.0 "setuptools<81"
    python benchmark/speed.py --wavelets --reference_wavelets reference_wavelets --threads 2

--network measures each path, which is a way to compute the network, beside the published formula (path masked, in
float32). All paths get the same two real frames and threshold ratios. The table shows median times and their ratio,
operations, peak memory, and the difference from the frame of the published formula. On a CPU, the memory is the growth
of a new process in its first call. The results are written to results/speed: table.md, speed.json and, with --plot,
speed.png.

--tool measures frames per second of interpolate.py with its default options, beside FFmpeg's minterpolate. It also
measures the pipeline with peers and with a free network in the place of ours, and the shares of reading, network and
encoding. The results are written to results/speed: tool.md and tool.json. This takes about five minutes.

--tune measures the table by which `--sparse auto` chooses (models/sparse/costs.py) on this machine. It measures CPU
time of one thread, so that other load matters little. This takes two minutes, on a busy machine more.

--wavelets measures one Haar level of our `pytorch_wavelets` beside the package of this name on PyPI.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

import argparse
import re
from collections.abc import Sequence

import torch

from benchmark.measure.network import NetworkPath, Setting, measure_network
from benchmark.measure.parts import load_reference_wavelets, measure_wavelets, tune
from benchmark.measure.results import draw, write_report, write_tool_report
from benchmark.measure.tool import SIZES, ToolSetting, measure_tool
from benchmark.methods import open_peer
from datasets.clips import EXAMPLE
from models import CONFIGS, default_checkpoint
from utils import pick_device

SWEEP = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
PATHS = tuple(map(NetworkPath, ("auto", "folded", "gather")))


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="store_true", help="compare the ways to compute the network")
    parser.add_argument("--tool", action="store_true", help="compare interpolate.py with FFmpeg and peers")
    parser.add_argument("--wavelets", action="store_true", help="compare the Haar transforms")
    parser.add_argument("--tune", action="store_true", help="measure the table by which --sparse auto chooses")
    parser.add_argument(
        "--threads", type=_count, help=f"CPU threads of PyTorch ({torch.get_num_threads()}; tool: 1, as interpolate.py)"
    )
    parser.add_argument("--repeats", type=_count, help="timed calls of each (network, tune: 5; tool: 1; wavelets: 200)")
    parser.add_argument(
        "--sizes", type=_size, nargs="+", metavar="WxH",
        help="sizes of the frames, which are scaled (network: 448x256; tool: 640x272 1280x720 1920x1080)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("results/speed"), help="folder of the results (results/speed)"
    )
    _add_network_options(parser.add_argument_group("--network"))
    _add_tool_options(parser.add_argument_group("--tool"))
    group = parser.add_argument_group("--wavelets")
    group.add_argument(
        "--reference_wavelets", "--reference-wavelets", type=Path, metavar="DIR", help="folder with PyPI's package"
    )
    args = parser.parse_args(arguments)
    if not (args.network or args.tool or args.wavelets or args.tune):
        parser.error("nothing to measure: give --network, --tool, --tune or --wavelets")
    return args


def main(args: argparse.Namespace) -> None:
    if args.wavelets:
        threads = args.threads or torch.get_num_threads()
        torch.set_num_threads(threads)
        repeats = args.repeats or 200
        print(f"PyTorch {torch.__version__}, CPU, {threads} threads, median of {repeats} calls\n")
        measure_wavelets(load_reference_wavelets(args.reference_wavelets), repeats=repeats)
    if args.network:
        compare_paths(args)
    if args.tool:
        compare_tools(args)
    if args.tune:
        tune(repeats=args.repeats or 5)


def compare_paths(args: argparse.Namespace) -> None:
    """Measure the network. Print the tables and write them into the output folder."""
    args.output.mkdir(parents=True, exist_ok=True)
    setting = Setting(
        checkpoint=args.checkpoint or default_checkpoint(),
        config=args.config,
        device=pick_device(args.device),
        frames=tuple(args.frames or ()),
        threads=args.threads or torch.get_num_threads(),
        repeats=args.repeats or 5,
        parts=args.parts,
        memory=not args.no_memory,
        tf32=args.tf32,
        cpu_time=args.cpu_time,
    )
    costs = args.costs or (SWEEP if args.plot else (1.0, 0.4, 0.2))
    sizes = args.sizes or [(448, 256)]
    rows = measure_network(setting, args.paths or PATHS, sizes, costs)
    print(write_report(args.output, setting, rows), end="")
    if args.plot:
        draw(args.output / "speed.png", setting, rows)


def compare_tools(args: argparse.Namespace) -> None:
    """Measure the whole tool and print the table. After each size, the table so far is written into the folder."""
    args.output.mkdir(parents=True, exist_ok=True)
    peers = tuple(map(open_peer, args.peer))
    setting = ToolSetting(args.clip, args.length, peers, args.threads or 1, repeats=args.repeats or 1)
    rows, text = [], ""
    for some in measure_tool(setting, args.sizes or SIZES):
        rows += some
        text = write_tool_report(args.output, setting, rows, pick_device())
    print(text, end="")


def _add_tool_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--clip", type=Path, default=EXAMPLE, help="a video; default: examples/bird.mp4")
    group.add_argument("--length", type=_count, default=24, help="number of its frames to use, at least 2 (24)")
    group.add_argument(
        "--peer", action="append", default=[], metavar="MODULE:FUNCTION",
        help="another network: a function of two tensors (B, 3, H, W), and of t if it takes three; can be repeated",
    )  # fmt: skip


def _add_network_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--checkpoint", type=Path, help="weights; default: the released ones if present, else the shipped"
    )
    group.add_argument(
        "--config", choices=CONFIGS, default="base", help="the network, if the weights do not name it (base)"
    )
    group.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (cpu)")
    group.add_argument("--tf32", action="store_true", help="let a GPU use TF32 for float32")
    group.add_argument(
        "--frames", type=Path, nargs=2, metavar="IMAGE", help="two images; default: two frames of examples/bird.mp4"
    )
    group.add_argument(
        "--costs",
        type=_cost,
        nargs="+",
        metavar="C",
        help="multiply-accumulates of the sparse convolutions, where 1 is dense (1 0.4 0.2; with --plot 0.05 to 1)",
    )
    group.add_argument(
        "--paths",
        type=NetworkPath.parse,
        nargs="+",
        metavar="METHOD[:PRECISION]",
        help=f"the paths to compare with the published formula ({' '.join(map(str, PATHS))})",
    )
    group.add_argument(
        "--cpu_time", "--cpu-time", action="store_true", help="measure CPU time; with --threads 1 for a busy machine"
    )
    group.add_argument("--parts", action="store_true", help="also measure the time of each part")
    group.add_argument("--no_memory", "--no-memory", action="store_true", help="do not measure the peak memory")
    group.add_argument("--plot", action="store_true", help="draw time against cost")


def _size(text: str) -> tuple[int, int]:
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT in pixels, such as 448x256, got {text!r}")
    width, height = map(int, text.split("x"))
    return width, height


def _cost(text: str) -> float:
    try:
        cost = float(text)
    except ValueError:
        cost = 0.0
    if not 0 < cost <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, got {text}")
    return cost


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text!r}")
    return int(text)


if __name__ == "__main__":
    run_script(main, parse_args())
