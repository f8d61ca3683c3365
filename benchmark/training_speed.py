"""Measure training samples per second, beside a plain implementation: float32, with a dense decode per candidate.

    python benchmark/training_speed.py --config small --crop_size 256 --batch_size 4 --threads 2

The plain way is the published formula (`sparse = "masked"`, contiguous memory, the usual malloc). In the dynamic stage,
it has a complete decode per candidate. The other ways are the trainer's. The ways take turns. The table shows medians
of a forward and backward pass with the loss.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.startup import begin_script, keep_freed_memory, run_script

if __name__ == "__main__":
    begin_script()

import torch
from torch import Tensor

from benchmark.measure.timing import interleaved_medians
from datasets import MovingShapes
from models import CONFIGS, Interpolation, WaveletVFI
from models.losses import training_loss

WAYS = ("plain", "float32", "bf16")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=CONFIGS, default="base", help="the network (base)")
    parser.add_argument(
        "--crop_size", "--crop-size", type=int, default=256, help="side of the frames, a multiple of 16 (256)"
    )
    parser.add_argument("--batch_size", "--batch-size", type=int, default=4, help="samples per step (4)")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each way (5)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of PyTorch")
    args = parser.parse_args(argv)
    if min(args.crop_size, args.batch_size, args.repeats, args.threads) < 1 or args.crop_size % 16:
        parser.error("numbers must be positive, and --crop_size a multiple of 16")
    return args


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    print(f"PyTorch {torch.__version__}, CPU, {args.threads} threads, median of {args.repeats} interleaved steps\n")
    print("| stage | way | samples/s | times plain | loss |\n|---|---|---|---|---|")
    shapes = MovingShapes(args.batch_size, "train", size=(args.crop_size, args.crop_size))
    triplets = zip(*(shapes[i] for i in range(len(shapes))), strict=True)
    frames = [torch.stack(images).float() / 255 for images in triplets]
    for stage in ("static", "dynamic"):
        losses = {}
        steps = [make_step(way, stage, args.config, frames, losses) for way in WAYS]
        seconds = interleaved_medians(steps, repeats=args.repeats)
        for way, taken in zip(WAYS, seconds, strict=True):
            rate, faster = args.batch_size / taken, seconds[0] / taken
            print(f"| {stage} | {way} | {rate:.2f} | {faster:.2f} | {losses[way]:.5f} |", flush=True)


def make_step(way: str, stage: str, config: str, frames: list[Tensor], losses: dict[str, float]) -> Callable[[], None]:
    """Return a function that does one forward and backward pass. All ways have the same weights and noise."""
    torch.manual_seed(0)
    model = WaveletVFI(config)
    if way == "plain":
        model.sparse = "masked"
    else:
        model = model.to(memory_format=torch.channels_last)
    model.motion.classifier.requires_grad_(stage == "dynamic")
    img0, imgt, img1 = frames

    def step() -> None:
        keep_freed_memory(way != "plain")
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=way == "bf16"):
            if stage == "static":
                output = model(img0, img1, ratio=0.0)
            else:
                output = decode_each(model, img0, img1) if way == "plain" else model(img0, img1, temperature=1.0)
        loss = training_loss(output, imgt).total
        model.zero_grad(set_to_none=True)
        loss.backward()
        losses[way] = loss.item()

    return step


def decode_each(model: WaveletVFI, img0: Tensor, img1: Tensor) -> Interpolation:
    """Return the output of the dynamic stage, computed with a decode for every candidate."""
    observation = model.observe(img0, img1)
    motion, merged = observation.motion, observation.merged
    probs = torch.nn.functional.gumbel_softmax(motion.ratio_logits, tau=1.0)
    ratios = [motion.ratio_logits.new_full((len(img0),), ratio) for ratio in model.config.ratios]
    candidates = [model.synthesis(observation.context, [ratio], merged)[0] for ratio in ratios]
    frame = sum(p.view(-1, 1, 1, 1) * c.frame for p, c in zip(probs.unbind(1), candidates, strict=True))
    return Interpolation(frame, merged, motion, probs, candidates)


if __name__ == "__main__":
    run_script(main, parse_args())
