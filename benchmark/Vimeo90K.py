"""PSNR, SSIM and GMACs on the test split of Vimeo90K, or on any triplets in its layout.

python benchmark/Vimeo90K.py --data_root path/to/vimeo_triplet
python benchmark/Vimeo90K.py --data_root path/to/vimeo_triplet --checkpoint path/to/weights.pth --ratio 0.01
torchrun --nproc_per_node 4 benchmark/Vimeo90K.py --data_root path/to/vimeo_triplet --batch_size 8 --workers 4

Published: 35.58 dB, 0.978.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmark.report import format_table, write_report
from benchmark.runner import evaluate
from datasets.triplets import Vimeo90K
from models import default_checkpoint
from models.options import add_options, network
from utils import init_distributed, run_script


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data_root",
        "--data-root",
        type=Path,
        required=True,
        help="the unpacked archive: the folder vimeo_triplet, or the one that contains it",
    )
    add_options(parser)
    parser.add_argument("--batch_size", "--batch-size", type=int, default=1, help="images at once per process (1)")
    parser.add_argument("--workers", type=int, default=0, help="processes that read images, 0: none (0)")
    parser.add_argument(
        "--output", type=Path, default=Path("results/Vimeo90K.json"), help="the report (results/Vimeo90K.json)"
    )
    return parser.parse_args(arguments)


def main(args: argparse.Namespace) -> None:
    if args.output.is_dir():
        raise ValueError(
            f"--output {args.output} is a folder; name a file in it, such as {args.output / 'report.json'}"
        )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    dataset = Vimeo90K(args.data_root, "test")
    checkpoint = args.checkpoint or default_checkpoint()
    process = init_distributed(args.device)
    torch.backends.cudnn.allow_tf32 = False  # scores are those of float32 on every device
    model, amount = network(args, process.device), {"ratio": args.ratio, "budget": args.budget}
    results = evaluate(dataset, model, process=process, batch_size=args.batch_size, **amount, workers=args.workers)
    if process.is_main:
        write_report(args.output, results, checkpoint=checkpoint, device=process.device, **amount)
        print(format_table(results.mean, model=checkpoint.name))
        print(f"{len(dataset)} images; every one of them in {args.output}")


if __name__ == "__main__":
    run_script(main, parse_args())
