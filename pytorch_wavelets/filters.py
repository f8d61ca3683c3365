"""The filters of a wavelet, and one level with them along the last axis: `split` and its inverse `join`.

The arguments `wave` (a name, a `pywt.Wavelet` or a tuple of filters) and `mode` are checked and resolved here.

Analysis is low[k] = sum_j h[j] x[2k + 1 - j], where x is extended beyond its ends as the mode says. Synthesis is
x[n] = sum_k low[k] g[n + L - 2 - 2k], plus the same sum for the high band. Both are linear functions of a sliding
window. Therefore BLOCK neighbouring outputs are the product of a window and a small banded matrix. This product is
faster than a convolution with one channel. On a GPU it stays in float32, where convolutions use TF32 by default.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pywt
import torch
import torch.nn.functional as F
from torch import Tensor

#: A wavelet: its name, PyWavelets' object, or two or four filters.
Wave: TypeAlias = str | pywt.Wavelet | Sequence[Any]

MODES = ("zero", "symmetric", "reflect", "periodization", "periodic")
BLOCK = 16  # outputs per band and window


class FilterPair(NamedTuple):
    """The filters of one axis, in the order of PyWavelets (`dec_lo`, `rec_lo`).

    low: (L,) float64, the low-pass filter.
    high: (L,) float64, the high-pass filter.
    """

    low: np.ndarray
    high: np.ndarray

    def equals(self, other: "FilterPair") -> bool:
        """Return True if the taps are the same, up to rounding."""
        return len(self.low) == len(other.low) and np.allclose(self, other, rtol=0, atol=1e-15)


def resolve_mode(mode: str) -> str:
    """Return the full name of a boundary mode. As in PyWavelets, "per" means "periodization".

    Raises:
        ValueError: there is no such mode.
    """
    mode = "periodization" if mode == "per" else mode
    if mode not in MODES:
        raise ValueError(f"unknown boundary mode {mode!r}; use one of {', '.join(MODES)}")
    return mode


def filter_pairs(wave: Wave, kind: str) -> list[FilterPair]:
    """Return the filters: one pair for all axes, or two pairs for a tuple of four arrays.

    Args:
        wave: the wavelet, or its filters.
        kind: "dec" for the analysis filters of a wavelet, "rec" for its synthesis filters.
    Raises:
        ValueError: there is no such wavelet, or the filters have another number or length.
        TypeError: `wave` is of another type.
    """
    if isinstance(wave, str):
        if wave.lower() not in pywt.wavelist(kind="discrete"):
            raise ValueError(
                f"unknown discrete wavelet {wave!r}; pywt.wavelist(kind='discrete') lists the names, such as 'haar'"
            )
        wave = pywt.Wavelet(wave)
    if isinstance(wave, pywt.Wavelet):
        wave = getattr(wave, f"{kind}_lo"), getattr(wave, f"{kind}_hi")
    if not isinstance(wave, Sequence):
        raise TypeError(
            f"wave must be a wavelet name, a pywt.Wavelet or a tuple of 2 or 4 filters, got {type(wave).__name__}"
        )
    if len(wave) not in (2, 4):
        raise ValueError(
            f"got a tuple of {len(wave)} filters; give (low, high) or (low_col, high_col, low_row, high_row)"
        )
    filters = [np.asarray(taps, dtype=np.float64).reshape(-1) for taps in wave]
    pairs = [FilterPair(*filters[i : i + 2]) for i in range(0, len(filters), 2)]
    for low, high in pairs:
        if len(low) != len(high) or len(low) % 2 or not len(low):
            raise ValueError(
                f"the two filters of a pair must have the same even length, got {len(low)} and {len(high)}; "
                "append zeros to them, as PyWavelets does"
            )
    return pairs


def analysis_matrix(pair: FilterPair) -> Tensor:
    """Return the analysis matrix, (2 BLOCK + L - 2, 2 BLOCK) float64.

    A window times this matrix gives BLOCK low and then BLOCK high coefficients.
    """
    taps = len(pair.low)
    matrix = np.zeros((2 * BLOCK + taps - 2, 2, BLOCK))
    for k in range(BLOCK):
        matrix[2 * k : 2 * k + taps, :, k] = np.stack(pair, axis=1)[::-1]
    return torch.tensor(matrix, device="cpu").flatten(1)


def synthesis_matrix(pair: FilterPair) -> Tensor:
    """Return the synthesis matrix, (2 (BLOCK + L/2 - 1), 2 BLOCK) float64.

    A low window followed by a high window, times this matrix, gives 2 BLOCK samples.
    """
    half = len(pair.low) // 2
    matrix = np.zeros((2, BLOCK + half - 1, BLOCK, 2))
    for n in range(BLOCK):
        matrix[:, n : n + half, n] = np.stack(pair).reshape(2, half, 2)[:, ::-1]
    return torch.tensor(matrix, device="cpu").flatten(2).flatten(0, 1)


def band_size(size: int, taps: int, mode: str) -> int:
    """Return the coefficients per band: ceil(size / 2) in mode periodization, else floor((size + L - 1) / 2)."""
    return (size + 1) // 2 if mode == "periodization" else (size + taps - 1) // 2


def split(signal: Tensor, matrix: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """Analyse the last axis.

    Args:
        signal: (..., n).
        matrix: the result of `analysis_matrix`.
        mode: the boundary mode.
    Returns:
        low and high, (..., k) each, where k is the `band_size` of n.
    """
    size, overlap = signal.shape[-1], matrix.shape[0] - 2 * BLOCK  # L - 2
    left = overlap // 2 if mode == "periodization" else overlap
    count = band_size(size, overlap + 2, mode)
    blocks = (count + BLOCK - 1) // BLOCK
    extended = extend(signal, left, 2 * BLOCK * blocks + overlap - left - size, mode)
    windows = extended.unfold(-1, 2 * BLOCK + overlap, 2 * BLOCK).contiguous()  # thus one product, not one per row
    coefficients = _product(windows, matrix)
    low, high = coefficients.unflatten(-1, (2, BLOCK)).unbind(-2)  # each (..., blocks, BLOCK)
    return low.flatten(-2)[..., :count], high.flatten(-2)[..., :count]


def join(low: Tensor, high: Tensor, matrix: Tensor, mode: str) -> Tensor:
    """Synthesise the last axis.

    Args:
        low, high: (..., k).
        matrix: the result of `synthesis_matrix`.
        mode: the boundary mode.
    Returns:
        (..., n), where n is 2k in mode periodization, else 2k - L + 2.
    """
    count, overlap = low.shape[-1], matrix.shape[0] // 2 - BLOCK  # L/2 - 1
    left, start, size = 0, 0, 2 * (count - overlap)
    if mode == "periodization":
        # The filters are centred, so the circle starts L/2 - 1 samples earlier: half a coefficient more if L/2 is even.
        left, start, size = (overlap + 1) // 2, overlap % 2, 2 * count
    blocks = (size + start + 2 * BLOCK - 1) // (2 * BLOCK)
    padding = left, BLOCK * blocks + overlap - left - count
    boundary = "periodic" if mode == "periodization" else "zero"
    windows = [extend(band, *padding, boundary).unfold(-1, BLOCK + overlap, BLOCK) for band in (low, high)]
    return _product(torch.cat(windows, dim=-1), matrix).flatten(-2)[..., start : start + size]


def extend(signal: Tensor, left: int, right: int, mode: str) -> Tensor:
    """Extend the last axis at both ends as the mode says. For short signals, the extension is repeated.

    Args:
        signal: (..., N).
        left, right: the number of new samples at each end.
        mode: the boundary mode.
    Returns:
        (..., left + N + right).
    Raises:
        ValueError: a single sample cannot be reflected.
    """
    if mode == "zero":
        return F.pad(signal, (left, right))
    size = signal.shape[-1]
    if mode == "reflect" and size == 1:
        raise ValueError("mode 'reflect' cannot extend an axis of size 1; use fewer levels or mode 'symmetric'")
    period = {"periodization": size + size % 2, "periodic": size, "symmetric": 2 * size, "reflect": 2 * size - 2}[mode]
    position = torch.arange(-left, size + right, device=signal.device)
    position = position % torch.full_like(position, period)  # `% period` has no ONNX form for a variable size
    if mode in ("symmetric", "reflect"):  # the second half of a period is mirrored; symmetric repeats the ends
        position = torch.minimum(position, period - int(mode == "symmetric") - position)
    position = position.clamp(max=size - 1)  # periodization repeats the last sample of an odd size
    before, after = position[:left], position[left + size :]
    return torch.cat((signal.index_select(-1, before), signal, signal.index_select(-1, after)), dim=-1)


def _product(windows: Tensor, matrix: Tensor) -> Tensor:
    with torch.autocast(windows.device.type, enabled=False):  # autocast would lower the precision
        return windows @ matrix.to(windows)
