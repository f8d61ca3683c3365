"""Sparse convolution. `conv.py` defines its meaning; the other modules compute it quickly.

Some words are used everywhere here:

- A mask (B, 1, h, w) in {0, 1} says on which pixels, the active ones, a result is needed. The others are 0.
- The density is the fraction of active pixels.
- A tile is a square of 2x2 pixels. Tiles are gathered into matrices, so that only active places are computed.
- Rows are the features of some pixels of a map, as a matrix with one row per pixel.
- A way is one formula for the same convolution. `choose` in `conv.py` chooses among them.
- The fine input of a convolution has its size. The coarse input has half its size, and is upsampled (nearest x2).
"""

from .conv import METHODS, SparseConv2d, sparse_level
from .tile_maps import Rows, Tiles

__all__ = ["METHODS", "Rows", "SparseConv2d", "Tiles", "sparse_level"]
