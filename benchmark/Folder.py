"""Any folder of triplets or clips, as images or videos: frames are left out and predicted from their neighbours.

python benchmark/Folder.py --data_root my_clips
python benchmark/Folder.py --data_root my_clips --multiplier 4
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
from datasets import Folder


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = build_parser(__doc__, "a folder of videos, or of folders of numbered images, at any depth")
    parser.add_argument("--multiplier", type=int, default=2, help="2, 4, 8, ...: predict all between every so many (2)")
    return read_args(parser, arguments)


def main(args: argparse.Namespace) -> None:
    run(args, [Folder(args.data_root, args.multiplier)])


if __name__ == "__main__":
    run_script(main, parse_args())
