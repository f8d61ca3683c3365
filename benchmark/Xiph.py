"""Xiph-2K and Xiph-4K: 8 clips of 4096x2160, every second of 99 frames predicted; halved, or cropped in the middle.

python benchmark/Xiph.py --data_root netflix
python benchmark/Xiph.py --data_root netflix --sizes 2K
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
from datasets import Xiph


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = build_parser(__doc__, "the folder of <clip>-001.png, ..., or the one around it")
    parser.add_argument(
        "--sizes", nargs="+", choices=Xiph.sizes, default=Xiph.sizes, help="2K: halved, 4K: cropped (both)"
    )
    return read_args(parser, arguments)


def main(args: argparse.Namespace) -> None:
    run(args, [Xiph(args.data_root, size) for size in args.sizes])


if __name__ == "__main__":
    run_script(main, parse_args())
