"""Evaluate on Adobe240 x8: seven frames between every eighth frame of the test clips, 1280x720.

python benchmark/Adobe240.py --data_root test_frames
python benchmark/Adobe240.py --data_root test_frames --crop 0

Weights that make frames at any time, such as `small`, make each frame by one call. Others halve the time repeatedly.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import Adobe240

parse_args, main = script_of(
    __doc__, Adobe240, "the folder test_frames, or the one around it",
    "crop", type=int, default=512, help="side of the square used in the middle, 0: whole frames (512)",
)  # fmt: skip

if __name__ == "__main__":
    run_script(main, parse_args())
