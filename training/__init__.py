"""Training: the run (`trainer`), its plan (`schedule`, `stages`), its flags (`options`) and what it shows (`log`)."""

from .options import build_parser, check_args
from .stages import DYNAMIC
from .trainer import Trainer

__all__ = ["DYNAMIC", "Trainer", "build_parser", "check_args"]
