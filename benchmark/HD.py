"""Evaluate on HD: every odd frame of the first 101 of 11 raw clips, 1280x544 to 1920x1080.

python benchmark/HD.py --data_root HD_dataset

The published figure is the PSNR of the luma, the mean over clips.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import HD

parse_args, main = script_of(__doc__, HD, "the unpacked archive: HD_dataset, or the folder around it")

if __name__ == "__main__":
    run_script(main, parse_args())
