"""Evaluate on Xiph-2K (halved) and Xiph-4K (cropped): every second of 99 frames of 8 clips, 4096x2160.

python benchmark/Xiph.py --data_root netflix
python benchmark/Xiph.py --data_root netflix --sizes 2K
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import Xiph

parse_args, main = script_of(
    __doc__, Xiph, "the folder of <clip>-001.png, ..., or the one around it",
    "sizes", nargs="+", choices=Xiph.sizes, default=Xiph.sizes, help="2K: halved, 4K: cropped (both)",
)  # fmt: skip

if __name__ == "__main__":
    run_script(main, parse_args())
