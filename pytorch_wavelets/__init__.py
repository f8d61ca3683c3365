"""Discrete wavelet transforms of PyTorch tensors. They are differentiable, and their results are PyWavelets'.

Names, arguments and output layout are those of the DWT in PyPI's `pytorch_wavelets`. Code and state dicts for that
package work here, too. The network itself uses `haar_forward` and `haar_inverse`.

    >>> low, highs = DWTForward(J=3, wave="db2", mode="symmetric")(x)  # x: (N, C, H, W)
    >>> x = DWTInverse(wave="db2", mode="symmetric")((low, highs))

`low` is (N, C, h, w). `highs` is a list of (N, C, 3, h, w), finest first, with the bands LH, HL, HH, which PyWavelets
calls cH, cV, cD. All results have the dtype of the input, even under autocast.
"""

from pytorch_wavelets.haar import haar_forward, haar_inverse
from pytorch_wavelets.transforms import DWT1DForward, DWT1DInverse, DWTForward, DWTInverse

DWT = DWT2D = DWTForward
IDWT = IDWT2D = DWTInverse
DWT1D = DWT1DForward
IDWT1D = DWT1DInverse

__all__ = [
    "DWT",
    "DWT1D",
    "DWT2D",
    "IDWT",
    "IDWT1D",
    "IDWT2D",
    "DWT1DForward",
    "DWT1DInverse",
    "DWTForward",
    "DWTInverse",
    "haar_forward",
    "haar_inverse",
]
