"""The 2,000 test triplets of ATD-12K, animated films, 960x540.

python benchmark/ATD12K.py --data_root test_2k_540p
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
from datasets import ATD12K


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    return read_args(build_parser(__doc__, "the unpacked archive: test_2k_540p, or the folder around it"), arguments)


def main(args: argparse.Namespace) -> None:
    run(args, [ATD12K(args.data_root)])


if __name__ == "__main__":
    run_script(main, parse_args())
