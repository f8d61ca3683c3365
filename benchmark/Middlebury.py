"""Evaluate on the 12 triplets of Middlebury's other set. Its tables show the interpolation error, IE.

python benchmark/Middlebury.py --data_root middlebury
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import Middlebury

parse_args, main = script_of(__doc__, Middlebury, "the folder that holds other-data and other-gt-interp")

if __name__ == "__main__":
    run_script(main, parse_args())
