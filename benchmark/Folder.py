"""Evaluate on any folder of triplets or clips, as images or videos. Frames are predicted from their neighbours.

python benchmark/Folder.py --data_root my_clips
python benchmark/Folder.py --data_root my_clips --multiplier 4
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of
from datasets import Folder

parse_args, main = script_of(
    __doc__, Folder, "a folder of videos, or of folders of numbered images, at any depth",
    "multiplier", type=int, default=2, help="2, 4, 8, ...: of so many frames, all but the first are predicted (2)",
)  # fmt: skip

if __name__ == "__main__":
    run_script(main, parse_args())
