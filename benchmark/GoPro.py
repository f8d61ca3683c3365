"""Evaluate on GoPro x8: seven frames between every eighth frame of the 11 test clips, by repeated halving of the time.

python benchmark/GoPro.py --data_root GOPRO_Large_all
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of

parse_args, main = script_of("GoPro", __doc__)

if __name__ == "__main__":
    run_script(main, parse_args())
