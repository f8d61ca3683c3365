"""X-TEST of X4K1000FPS: seven frames between the outer two of 33, by halving the time again and again, 4096x2160.

python benchmark/XTest.py --data_root X4K1000FPS
python benchmark/XTest.py --data_root X4K1000FPS --sizes 2K
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
from datasets import XTest


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = build_parser(__doc__, "the folder test of X4K1000FPS, or the one around it")
    parser.add_argument("--sizes", nargs="+", choices=XTest.sizes, default=["4K"], help="4K, 2K: halved (4K)")
    return read_args(parser, arguments)


def main(args: argparse.Namespace) -> None:
    run(args, [XTest(args.data_root, size) for size in args.sizes])


if __name__ == "__main__":
    run_script(main, parse_args())
