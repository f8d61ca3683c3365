"""HD: 11 raw clips of 1280x544 to 1920x1080, every odd frame of the first 101; the PSNR of the luma, mean over clips.

python benchmark/HD.py --data_root HD_dataset
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
from datasets import HD


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    return read_args(build_parser(__doc__, "the unpacked archive: HD_dataset, or the folder around it"), arguments)


def main(args: argparse.Namespace) -> None:
    run(args, [HD(args.data_root)])


if __name__ == "__main__":
    run_script(main, parse_args())
