"""Sparse convolution: what it means is in `conv.py`, how it is computed quickly in the modules beside."""

from .conv import SparseConv2d
from .dispatch import METHODS
from .level import sparse_level
from .tile_maps import Rows, Tiles

__all__ = ["METHODS", "Rows", "SparseConv2d", "Tiles", "sparse_level"]
