"""One level along the last axis, for any even filter length and boundary mode: `split` and its inverse `join`.

Analysis means low[k] = sum_j h[j] x[2k + 1 - j], x extended beyond its ends as the mode says; synthesis means
x[n] = sum_k low[k] g[n + L - 2 - 2k] plus the same of the high band. Both are linear in a sliding window, so BLOCK
neighbouring outputs are one product of a window with a small banded matrix. A matrix product is quicker here than a
convolution with one channel, and float32 stays float32 on a GPU, where convolutions default to TF32.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pytorch_wavelets.filters import FilterPair

BLOCK = 16  # outputs per band and window


def analysis_matrix(pair: FilterPair) -> Tensor:
    """(2 BLOCK + L - 2, 2 BLOCK) float64: a window times this gives BLOCK low, then BLOCK high coefficients."""
    taps = len(pair.low)
    matrix = np.zeros((2 * BLOCK + taps - 2, 2, BLOCK))
    for k in range(BLOCK):
        matrix[2 * k : 2 * k + taps, :, k] = np.stack(pair, axis=1)[::-1]
    return torch.tensor(matrix, device="cpu").flatten(1)


def synthesis_matrix(pair: FilterPair) -> Tensor:
    """(2 (BLOCK + L/2 - 1), 2 BLOCK) float64: a low and a high window, end to end, times this give 2 BLOCK samples."""
    half = len(pair.low) // 2
    matrix = np.zeros((2, BLOCK + half - 1, BLOCK, 2))
    for n in range(BLOCK):
        matrix[:, n : n + half, n] = np.stack(pair).reshape(2, half, 2)[:, ::-1]
    return torch.tensor(matrix, device="cpu").flatten(2).flatten(0, 1)


def band_size(size: int, taps: int, mode: str) -> int:
    """Coefficients per band of an axis: ceil(size / 2) in mode periodization, else floor((size + L - 1) / 2)."""
    return (size + 1) // 2 if mode == "periodization" else (size + taps - 1) // 2


def split(signal: Tensor, matrix: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """Analyse the last axis.

    Args:
        signal: (..., n).
        matrix: from `analysis_matrix`.
    Returns:
        low, high: (..., k), where k = `band_size` of n.
    """
    size, overlap = signal.shape[-1], matrix.shape[0] - 2 * BLOCK  # L - 2
    left = overlap // 2 if mode == "periodization" else overlap
    count = band_size(size, overlap + 2, mode)
    blocks = (count + BLOCK - 1) // BLOCK
    extended = extend(signal, left, 2 * BLOCK * blocks + overlap - left - size, mode)
    windows = extended.unfold(-1, 2 * BLOCK + overlap, 2 * BLOCK).contiguous()  # one product, not one per row
    coefficients = _product(windows, matrix)
    low, high = coefficients.unflatten(-1, (2, BLOCK)).unbind(-2)  # each (..., blocks, BLOCK)
    return low.flatten(-2)[..., :count], high.flatten(-2)[..., :count]


def join(low: Tensor, high: Tensor, matrix: Tensor, mode: str) -> Tensor:
    """Synthesise the last axis.

    Args:
        low, high: (..., k).
        matrix: from `synthesis_matrix`.
    Returns:
        (..., n); n = 2k in mode periodization, else 2k - L + 2.
    """
    count, overlap = low.shape[-1], matrix.shape[0] // 2 - BLOCK  # L/2 - 1
    left, start, size = 0, 0, 2 * (count - overlap)
    if mode == "periodization":
        # Centred filters: the circle starts L/2 - 1 samples earlier, which is half a coefficient more if L/2 is even.
        left, start, size = (overlap + 1) // 2, overlap % 2, 2 * count
    blocks = (size + start + 2 * BLOCK - 1) // (2 * BLOCK)
    padding = left, BLOCK * blocks + overlap - left - count
    boundary = "periodic" if mode == "periodization" else "zero"
    windows = [extend(band, *padding, boundary).unfold(-1, BLOCK + overlap, BLOCK) for band in (low, high)]
    return _product(torch.cat(windows, dim=-1), matrix).flatten(-2)[..., start : start + size]


def extend(signal: Tensor, left: int, right: int, mode: str) -> Tensor:
    """Lengthen the last axis at both ends, repeating the extension as often as short signals need: (..., N) ->
    (..., left + N + right). Raises ValueError for a single sample that is to be reflected."""
    if mode == "zero":
        return F.pad(signal, (left, right))
    size = signal.shape[-1]
    if mode == "reflect" and size == 1:
        raise ValueError("mode 'reflect' cannot extend an axis of size 1; use fewer levels or mode 'symmetric'")
    period = {"periodization": size + size % 2, "periodic": size, "symmetric": 2 * size, "reflect": 2 * size - 2}[mode]
    position = torch.arange(-left, size + right, device=signal.device)
    position = position % torch.full_like(position, period)  # `% period` has no ONNX form while the size is free
    if mode in ("symmetric", "reflect"):  # the second half of a period runs backwards; symmetric repeats the ends
        position = torch.minimum(position, period - int(mode == "symmetric") - position)
    position = position.clamp(max=size - 1)  # periodization makes an odd size even by repeating the last sample
    before, after = position[:left], position[left + size :]
    return torch.cat((signal.index_select(-1, before), signal, signal.index_select(-1, after)), dim=-1)


def _product(windows: Tensor, matrix: Tensor) -> Tensor:
    with torch.autocast(windows.device.type, enabled=False):  # the caller's dtype, not a lower one
        return windows @ matrix.to(windows)
