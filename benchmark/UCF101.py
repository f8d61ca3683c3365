"""Evaluate on the 379 triplets of UCF101 that were chosen for Deep Voxel Flow, 256x256.

python benchmark/UCF101.py --data_root ucf101_interp_ours
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import UCF101

parse_args, main = script_of(__doc__, UCF101, "the unpacked archive: ucf101_interp_ours, or the folder around it")

if __name__ == "__main__":
    run_script(main, parse_args())
