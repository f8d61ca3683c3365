"""Training: the run (`trainer`), its plan (`schedule`, `stages`), flags (`options`), `checkpoints`, and what it shows
(`log`)."""

from .options import build_parser, check_args
from .scores import ImageScore, gather_scores
from .signals import leave_signals_to_parent
from .trainer import Trainer

__all__ = ["ImageScore", "Trainer", "build_parser", "check_args", "gather_scores", "leave_signals_to_parent"]
