"""Evaluate on X-TEST of X4K1000FPS, 4096x2160: seven frames between the outer two of 33.

python benchmark/XTest.py --data_root X4K1000FPS
python benchmark/XTest.py --data_root X4K1000FPS --sizes 2K

Weights that make frames at any time, such as `small`, make each frame by one call. Others halve the time repeatedly.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import XTest

parse_args, main = script_of(
    __doc__, XTest, "the folder test of X4K1000FPS, or the one around it",
    "sizes", nargs="+", choices=XTest.sizes, default=["4K"], help="4K, 2K: halved (4K)",
)  # fmt: skip

if __name__ == "__main__":
    run_script(main, parse_args())
