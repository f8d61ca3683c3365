"""The test split of Vimeo90K (triplets; of septuplets frames 3 to 5), or any triplets in its layout.

python benchmark/Vimeo90K.py --data_root vimeo_triplet
python benchmark/Vimeo90K.py --data_root vimeo_triplet --sweep 0,0.005,0.01,0.015,auto
torchrun --nproc_per_node 4 benchmark/Vimeo90K.py --data_root vimeo_triplet --batch_size 8 --workers 4

Published: 35.58 dB, 0.978.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import build_parser, read_args, run
from datasets import Vimeo90KTest


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    return read_args(
        build_parser(__doc__, "the unpacked archive: vimeo_triplet or vimeo_septuplet, or the folder around it"),
        arguments,
    )


def main(args: argparse.Namespace) -> None:
    run(args, [Vimeo90KTest(args.data_root)])


if __name__ == "__main__":
    run_script(main, parse_args())
