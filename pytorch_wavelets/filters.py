"""What a caller may name: wavelets (name, `pywt.Wavelet`, filter tuples) and boundary modes, checked and resolved."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pywt

#: A wavelet: its name, PyWavelets' object, or two or four filters.
Wave: TypeAlias = str | pywt.Wavelet | Sequence[Any]

MODES = ("zero", "symmetric", "reflect", "periodization", "periodic")


class FilterPair(NamedTuple):
    """The low-pass and high-pass filter of one axis, float64 arrays (L,) in PyWavelets order (`dec_lo`, `rec_lo`)."""

    low: np.ndarray
    high: np.ndarray

    def equals(self, other: "FilterPair") -> bool:
        """Whether the taps are the same, up to rounding."""
        return len(self.low) == len(other.low) and np.allclose(self, other, rtol=0, atol=1e-15)


def resolve_mode(mode: str) -> str:
    """The full name of a boundary mode; "per" is short for "periodization", as in PyWavelets. Raises ValueError."""
    mode = "periodization" if mode == "per" else mode
    if mode not in MODES:
        raise ValueError(f"unknown boundary mode {mode!r}; use one of {', '.join(MODES)}")
    return mode


def analysis_filters(wave: Wave) -> list[FilterPair]:
    """One pair of `dec_` filters per axis: one for all axes, or two from a tuple of four arrays."""
    return _resolve(wave, lambda wavelet: (wavelet.dec_lo, wavelet.dec_hi))


def synthesis_filters(wave: Wave) -> list[FilterPair]:
    """One pair of `rec_` filters per axis: one for all axes, or two from a tuple of four arrays."""
    return _resolve(wave, lambda wavelet: (wavelet.rec_lo, wavelet.rec_hi))


def _resolve(wave: Wave, select: Callable[[pywt.Wavelet], Sequence[Any]]) -> list[FilterPair]:
    if isinstance(wave, str):
        wave = _wavelet_by_name(wave)
    if isinstance(wave, pywt.Wavelet):
        wave = select(wave)
    if not isinstance(wave, Sequence):
        raise TypeError(
            f"wave must be a wavelet name, a pywt.Wavelet or a tuple of 2 or 4 filters, got {type(wave).__name__}"
        )
    if len(wave) not in (2, 4):
        raise ValueError(
            f"got a tuple of {len(wave)} filters; give (low, high) or (low_col, high_col, low_row, high_row)"
        )
    filters = [np.asarray(taps, dtype=np.float64).reshape(-1) for taps in wave]
    return [_checked(FilterPair(*filters[i : i + 2])) for i in range(0, len(filters), 2)]


def _wavelet_by_name(name: str) -> pywt.Wavelet:
    if name.lower() not in pywt.wavelist(kind="discrete"):
        raise ValueError(
            f"unknown discrete wavelet {name!r}; pywt.wavelist(kind='discrete') lists the names, such as 'haar'"
        )
    return pywt.Wavelet(name)


def _checked(pair: FilterPair) -> FilterPair:
    lengths = len(pair.low), len(pair.high)
    if lengths[0] != lengths[1] or lengths[0] % 2 or not lengths[0]:
        raise ValueError(
            f"the two filters of a pair must have the same even length, got {lengths[0]} and {lengths[1]}; "
            "append zeros to them, as PyWavelets does"
        )
    return pair
