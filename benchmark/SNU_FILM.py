"""Evaluate on SNU-FILM: 310 triplets in each of four difficulties, mostly 1280x720.

python benchmark/SNU_FILM.py --data_root SNU-FILM
python benchmark/SNU_FILM.py --data_root SNU-FILM --modes hard extreme
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import SNUFilm

parse_args, main = script_of(
    __doc__, SNUFilm, "the unpacked archive, or the folder around it",
    "modes", nargs="+", choices=SNUFilm.modes, default=SNUFilm.modes, help="the difficulties (all)",
)  # fmt: skip

if __name__ == "__main__":
    run_script(main, parse_args())
