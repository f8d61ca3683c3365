"""Check and resolve the arguments `wave` (a name, a `pywt.Wavelet` or a tuple of filters) and `mode`."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pywt

#: A wavelet: its name, PyWavelets' object, or two or four filters.
Wave: TypeAlias = str | pywt.Wavelet | Sequence[Any]

MODES = ("zero", "symmetric", "reflect", "periodization", "periodic")


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


def analysis_filters(wave: Wave) -> list[FilterPair]:
    """Return the pairs of `dec_` filters: one pair for all axes, or two pairs for a tuple of four arrays."""
    return _resolve(wave, lambda wavelet: (wavelet.dec_lo, wavelet.dec_hi))


def synthesis_filters(wave: Wave) -> list[FilterPair]:
    """Return the pairs of `rec_` filters: one pair for all axes, or two pairs for a tuple of four arrays."""
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
