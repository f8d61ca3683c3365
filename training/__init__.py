"""Training.

| file | purpose |
|---|---|
| `trainer`, `stages`, `optimizer` | the run and its optimizer steps |
| `options` | the command line |
| `loader`, `validation`, `checkpoints`, `log` | reading batches, scoring, saving, logging |
| `plots` | drawings, and the report at the end |
| `privileged` | a teacher whose flow MP-Net can learn |
| `tools`, `surgery` | changes of weights between two runs |
"""

from .loader import Loader
from .log import Meter
from .options import Settings, build_parser, check_args
from .trainer import Trainer
from .validation import ImageScore, gather_scores, score_images

__all__ = [
    "ImageScore",
    "Loader",
    "Meter",
    "Settings",
    "Trainer",
    "build_parser",
    "check_args",
    "gather_scores",
    "score_images",
]
