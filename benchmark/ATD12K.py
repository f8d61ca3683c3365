"""Evaluate on ATD-12K: 2,000 test triplets of animated films, 960x540.

python benchmark/ATD12K.py --data_root test_2k_540p
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import ATD12K

parse_args, main = script_of(__doc__, ATD12K, "the unpacked archive: test_2k_540p, or the folder around it")

if __name__ == "__main__":
    run_script(main, parse_args())
