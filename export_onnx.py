"""python export_onnx.py --output model.onnx
python export_onnx.py --output static.onnx --ratio 0 --precision fp16
python export_onnx.py --output model.pt2 --ratio 0

Export the network as a graph for other programs: ONNX (.onnx), or torch.export's format (.pt2). Before the file gets
its name, the graph is compared with the network for several sizes. This takes a minute or two. The steps are printed.
"""

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

import argparse
import contextlib
import sys
import threading
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from models import Config, WaveletVFI, default_checkpoint, waveletvfi
from models.export import ONNX_STEPS, PRECISIONS, PROGRAM_STEPS, graph_config, program_multiple, save_onnx, save_program
from models.exported import NAMES, OnnxModel
from models.loading import add_weights, ratio_option
from utils import atomic_path

SIZES = ((1, 64, 96), (2, 48, 80), (1, 100, 150), (1, 256, 448))  # batch, height, width
TOLERANCE = {"float32": 1e-4, "fp16": 0.02}
FLIPPED = 1e-3  # the share of values that may differ more, where a detail is close to its threshold
COMPARING = "comparing it with the network"
EXPORTERS = {".onnx": (save_onnx, ONNX_STEPS), ".pt2": (save_program, PROGRAM_STEPS)}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", "-o", type=Path, required=True, help="a .onnx or .pt2 file")
    add_weights(parser)
    ratio_option(parser)
    help_text = "precision of convolutions; masks stay float32 (float32)"
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help=help_text)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output file")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    if args.output.suffix not in EXPORTERS:
        raise ValueError(f"{args.output}: unknown kind {args.output.suffix!r}; use .onnx or .pt2")
    if args.output.exists() and not args.overwrite:
        raise FileExistsError(f"{args.output} exists; give --overwrite to replace it")
    checkpoint = args.checkpoint or default_checkpoint()
    model = waveletvfi(checkpoint, config=args.config)
    export, steps = EXPORTERS[args.output.suffix]
    with atomic_path(args.output) as temporary, contextlib.closing(Steps(len(steps) + 1)) as on_step:
        export(model, temporary, ratio=args.ratio, precision=args.precision, on_step=on_step)
        on_step(COMPARING)
        worst = compare(model, temporary, ratio=args.ratio, tolerance=TOLERANCE[args.precision])
    megabytes = args.output.stat().st_size / 1e6
    print(f"{args.output}: {checkpoint.name}, {megabytes:.1f} MB; largest difference {worst:.1g} in {len(SIZES)} sizes")


def compare(model: WaveletVFI, path: Path, *, ratio: float | None, tolerance: float) -> float:
    """Return the largest difference between the frames of a network and those of its graph.

    Args:
        model: the network.
        path: the graph.
        ratio: the threshold ratio of the graph; None for the network's choice.
        tolerance: the difference that is allowed.
    Raises:
        ValueError: more than FLIPPED of the values of a frame differ by more than `tolerance`.
    """
    is_graph = path.suffix == ".onnx"
    run = OnnxModel(path).interpolate if is_graph else load_program(path, model.config)
    multiple = 1 if is_graph else program_multiple(model.config)  # a program takes sizes of at least three times this
    worst, passes = 0.0, graph_config(model.config).passes
    for batch, *sides in SIZES:
        size = (batch, *(side if is_graph else max(3, -(-side // multiple)) * multiple for side in sides))
        img0, img1 = moving(*size)
        difference = (run(img0, img1) - model.interpolate(img0, img1, ratio=ratio, passes=passes)).abs()
        worst = max(worst, float(difference.max()))
        off = float((difference > tolerance).float().mean())
        if not off <= FLIPPED:
            raise ValueError(f"the graph is not the network: {off:.1%} of a frame of {size[2]}x{size[1]} differ")
    return worst


class Steps:
    """A function that shows the current step and its time. Call it with the name of each step when the step begins.

    On a terminal, one line is rewritten every second. Elsewhere, a line per step is printed.
    """

    def __init__(self, total: int, *, every: float = 1.0):
        """Set the number of steps, and the seconds between two updates of the line."""
        self._bar = tqdm(total=total, bar_format="step {n} of {total}: {desc} ({elapsed})", disable=None, leave=False)
        self._total, self._count, self._ended = total, 0, threading.Event()
        self._ticker = threading.Thread(target=self._tick, args=(every,), daemon=True)
        if not self._bar.disable:
            self._ticker.start()

    def __call__(self, name: str) -> None:
        self._count += 1
        if self._bar.disable:
            print(f"step {self._count} of {self._total}: {name}", file=sys.stderr, flush=True)
        else:
            self._bar.n = self._count
            self._bar.set_description_str(name)

    def close(self) -> None:
        """Remove the line."""
        self._ended.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self._bar.close()

    def _tick(self, every: float) -> None:
        while not self._ended.wait(every):
            self._bar.refresh()


def load_program(path: Path, config: Config):
    """Load a program. Return it as a function that takes two frames and returns the middle frame."""
    program = torch.export.load(path).module()

    def run(img0: Tensor, img1: Tensor) -> Tensor:
        with torch.no_grad():
            return program(img0, img1, *[torch.full((len(img0),), 0.5)] * config.any_time)[NAMES[0]]

    return run


def moving(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return two frames (B, 3, H, W) in [0, 1] of a smooth pattern that moves by three pixels."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    pattern = F.interpolate(coarse, size=(height, width + 3), mode="bicubic").clamp(0, 1)
    return pattern[..., :-3], pattern[..., 3:]


if __name__ == "__main__":
    run_script(main, parse_args())
