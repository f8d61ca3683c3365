"""The 12 triplets of Middlebury's other set; its tables show the interpolation error, IE.

python benchmark/Middlebury.py --data_root middlebury
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
from datasets import Middlebury


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    return read_args(build_parser(__doc__, "the folder that holds other-data and other-gt-interp"), arguments)


def main(args: argparse.Namespace) -> None:
    run(args, [Middlebury(args.data_root)])


if __name__ == "__main__":
    run_script(main, parse_args())
