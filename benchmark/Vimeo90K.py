"""Evaluate on the test split of Vimeo90K (triplets, or frames 3 to 5 of septuplets), or any triplets in its layout.

python benchmark/Vimeo90K.py --data_root vimeo_triplet
python benchmark/Vimeo90K.py --data_root vimeo_triplet --sweep 0,0.005,0.01,0.015,auto
torchrun --nproc_per_node 4 benchmark/Vimeo90K.py --data_root vimeo_triplet --batch_size 8 --workers 4

Published: 35.58 dB, 0.978.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import Vimeo90KTest

parse_args, main = script_of(
    __doc__, Vimeo90KTest, "the unpacked archive: vimeo_triplet or vimeo_septuplet, or the folder around it"
)

if __name__ == "__main__":
    run_script(main, parse_args())
