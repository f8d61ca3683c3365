"""SNU-FILM: 310 triplets in each of four difficulties, mostly 1280x720.

python benchmark/SNU_FILM.py --data_root SNU-FILM
python benchmark/SNU_FILM.py --data_root SNU-FILM --modes hard extreme
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
from datasets import SNUFilm


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = build_parser(__doc__, "the unpacked archive, or the folder around it")
    parser.add_argument("--modes", nargs="+", choices=SNUFilm.modes, default=SNUFilm.modes, help="difficulties (all)")
    return read_args(parser, arguments)


def main(args: argparse.Namespace) -> None:
    run(args, [SNUFilm(args.data_root, mode) for mode in args.modes])


if __name__ == "__main__":
    run_script(main, parse_args())
