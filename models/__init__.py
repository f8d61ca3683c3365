"""WaveletVFI: frame interpolation in the wavelet domain.

Begin with `waveletvfi.py`, which shows the network as a drawing. These conventions hold everywhere:

- Frames are (B, 3, H, W), RGB in [0, 1].
- Flows are (B, 2, H, W), channels (dx, dy), in pixels.
- Level l has size H/2^l x W/2^l. Pyramids are lists, finest first: `xs[l - 1]` is level l.
- Detail bands are (B, 3, 3, h, w): colour, then PyWavelets order (cH, cV, cD).
"""

from .config import CONFIGS, Config, find_config
from .interface import Interpolation
from .loading import PRECISIONS, default_checkpoint, waveletvfi
from .motion import Motion
from .synthesis import Synthesis
from .waveletvfi import WaveletVFI
from .weights import load_weights, save_weights

__all__ = [
    "CONFIGS",
    "PRECISIONS",
    "Config",
    "Interpolation",
    "Motion",
    "Synthesis",
    "WaveletVFI",
    "default_checkpoint",
    "find_config",
    "load_weights",
    "save_weights",
    "waveletvfi",
]
