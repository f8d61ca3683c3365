"""The 379 triplets of UCF101 that were chosen for Deep Voxel Flow, 256x256.

python benchmark/UCF101.py --data_root ucf101_interp_ours
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
from datasets import UCF101


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    return read_args(
        build_parser(__doc__, "the unpacked archive: ucf101_interp_ours, or the folder around it"), arguments
    )


def main(args: argparse.Namespace) -> None:
    run(args, [UCF101(args.data_root)])


if __name__ == "__main__":
    run_script(main, parse_args())
