"""HD: 11 raw clips of 1280x544 to 1920x1080, every odd frame of the first 101; the PSNR of the luma, mean over clips.

python benchmark/HD.py --data_root HD_dataset
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.command import script_of

parse_args, main = script_of("HD", __doc__)

if __name__ == "__main__":
    run_script(main, parse_args())
