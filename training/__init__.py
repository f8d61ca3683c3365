"""Training: the run (`trainer`), its plan (`schedule`, `stages`), flags (`options`), `checkpoints`, `loader`, `memory`,
what it shows (`log`, `meter`) and leaves behind (`report`, `plots`)."""

from .loader import Loader
from .memory import keep_freed_memory
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
    "keep_freed_memory",
]
