"""Training: the run (`trainer`), its plan (`schedule`, `stages`), flags (`options`), `checkpoints`, `memory`,
what it shows (`log`, `meter`) and leaves behind (`report`, `plots`)."""

from .memory import keep_freed_memory
from .meter import Meter
from .options import build_parser, check_args
from .scores import ImageScore, gather_scores
from .signals import leave_signals_to_parent
from .trainer import Trainer

__all__ = [
    "ImageScore",
    "Meter",
    "Trainer",
    "build_parser",
    "check_args",
    "gather_scores",
    "keep_freed_memory",
    "leave_signals_to_parent",
]
