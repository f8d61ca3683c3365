"""Measure speed: of the network, of the whole tool, and of the wavelets. The parts are in the folder `benchmark/speed`.

    python benchmark/speed.py --network --sizes 448x256 1280x720 --costs 1 0.4 0.2 --threads 2 --repeats 5
    python benchmark/speed.py --tool --peer their_network:middle
    python benchmark/speed.py --tune
    python benchmark/speed.py --help

This file is only a script: `import benchmark.speed` gives the folder of the same name.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

from benchmark.speed.command import main, parse_args

if __name__ == "__main__":
    run_script(main, parse_args())
