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

parse_args, main = script_of("UCF101", __doc__)

if __name__ == "__main__":
    run_script(main, parse_args())
