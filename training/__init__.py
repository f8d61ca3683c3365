"""Training: the run (`trainer`) and what it shows (`log`)."""

from .trainer import DYNAMIC, Trainer

__all__ = ["DYNAMIC", "Trainer"]
