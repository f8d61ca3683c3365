"""Sparse convolution: what it means is in `conv.py`, how it is computed quickly in the modules beside."""

from .choose import METHODS
from .conv import SparseConv2d
from .level import sparse_level
from .rows import Rows, Tiles

__all__ = ["METHODS", "Rows", "SparseConv2d", "Tiles", "sparse_level"]
