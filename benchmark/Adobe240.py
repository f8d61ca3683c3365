"""Adobe240 x8: seven frames between every eighth of the test clips, by halving the time again and again.

python benchmark/Adobe240.py --data_root test_frames
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
from datasets import Adobe240


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = build_parser(__doc__, "the folder test_frames, or the one around it")
    parser.add_argument("--crop", type=int, default=512, help="side of the square in the middle, 0: whole frames (512)")
    return read_args(parser, arguments)


def main(args: argparse.Namespace) -> None:
    run(args, [Adobe240(args.data_root, args.crop)])


if __name__ == "__main__":
    run_script(main, parse_args())
