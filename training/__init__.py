"""Training: the run (`trainer`), its plan (`schedule`, `stages`), flags (`options`), `checkpoints`, `loader`,
`validation`, the `log`, and the report at the end (`summary`, `plots`)."""

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
