"""Training: the run (`trainer`), its plan (`schedule`, `stages`), flags (`options`), `checkpoints`, `loader`,
what it shows (`log`, `meter`) and leaves behind (`summary`, `plots`)."""

from .loader import Loader
from .meter import Meter
from .options import build_parser, check_args
from .scores import ImageScore, gather_scores
from .trainer import Trainer

__all__ = [
    "ImageScore",
    "Loader",
    "Meter",
    "Trainer",
    "build_parser",
    "check_args",
    "gather_scores",
]
