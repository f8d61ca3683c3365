"""The public modules: multi-level DWT and inverse DWT of images and signals, with a fast path for Haar."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from pytorch_wavelets.filters import (
    Wave,
    analysis_matrix,
    band_size,
    extend,
    filter_pairs,
    join,
    resolve_mode,
    split,
    synthesis_matrix,
)
from pytorch_wavelets.haar import haar_forward, haar_forward_1d, haar_inverse, haar_inverse_1d

SHAPES = {1: "(N, C, L)", 2: "(N, C, H, W)"}


class _Transform(nn.Module):
    """The base of the four transforms, with mode, filters and checks. `axes` is 1 for signals and 2 for images.
    `kind` is that of `filter_pairs`.

    The buffers have the names, shapes and values of PyPI's library, so that state dicts can be exchanged. The
    arithmetic uses the float64 matrices of the subclass, which `.half()` does not round. Each call casts them to its
    input's dtype.
    """

    axes: int
    _matrices: list[Tensor]

    def __init__(self, wave: Wave, mode: str, kind: str):
        super().__init__()
        pairs = filter_pairs(wave, kind)
        if len(pairs) > self.axes:
            raise ValueError("a 1-D transform has one axis: give a tuple of 2 filters, not 4")
        self.mode = resolve_mode(mode)
        (haar,) = filter_pairs("haar", kind)
        self.is_haar = all(pair.equals(haar) for pair in pairs)
        # With four filters, PyPI's library applies the first two ("col") along the width. So do we.
        self._pairs = [pairs[0], pairs[-1]][: self.axes]
        layouts = [("", (1, 1, -1))] if self.axes == 1 else [("_col", (1, 1, -1, 1)), ("_row", (1, 1, 1, -1))]
        # The analysis buffers have the order of a correlation, the reverse of `dec_lo`.
        prefix, order = ("h", -1) if kind == "dec" else ("g", 1)
        self._filters = {
            f"{prefix}{i}{suffix}": torch.tensor(taps[::order].copy(), device="cpu").view(shape)
            for pair, (suffix, shape) in zip(self._pairs, layouts, strict=True)
            for i, taps in enumerate(pair)
        }
        for name, taps in self._filters.items():
            self.register_buffer(name, taps.to(torch.get_default_dtype(), copy=True))
        self.register_load_state_dict_post_hook(_check_loaded_filters)

    def extra_repr(self) -> str:
        return f"taps={'x'.join(str(len(pair.low)) for pair in self._pairs)}, mode={self.mode}"

    def _check_input(self, x: Tensor) -> None:
        if x.ndim != self.axes + 2 or 0 in x.shape[2:]:
            raise ValueError(f"{type(self).__name__} needs {SHAPES[self.axes]} of sizes >= 1, got {tuple(x.shape)}")
        if not x.is_floating_point():
            raise TypeError(f"{type(self).__name__} needs a floating point tensor, got {x.dtype}; call .float() first")


class _Forward(_Transform):
    """The base of the forward transforms: J levels, one after the other."""

    def __init__(self, J: int = 1, wave: Wave = "db1", mode: str = "zero"):
        if not isinstance(J, int) or J < 0:
            raise ValueError(f"J counts the levels and must be an integer >= 0, got {J!r}")
        super().__init__(wave, mode, "dec")
        self.J = J
        self._matrices = [analysis_matrix(pair) for pair in self._pairs]

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        self._check_input(x)
        highs = []
        for _ in range(self.J):
            x, high = self._split(x)
            highs.append(high)
        return x, highs

    @abstractmethod
    def _split(self, x: Tensor, /) -> tuple[Tensor, Tensor]:
        """Return the low band and the high bands of one level."""


class _Inverse(_Transform):
    """The base of the inverse transforms: from the coarsest level to the finest one."""

    def __init__(self, wave: Wave = "db1", mode: str = "zero"):
        super().__init__(wave, mode, "rec")
        self._matrices = [synthesis_matrix(pair) for pair in self._pairs]

    def forward(self, coeffs: tuple[Tensor, list[Tensor | None]]) -> Tensor:
        low, highs = coeffs
        self._check_input(low)
        for high in highs:
            if high is not None and high.ndim != 2 * self.axes + 1:
                raise ValueError(f"high bands must have {2 * self.axes + 1} axes, got {tuple(high.shape)} in yh")
        for high in reversed(self._fill(low, highs)):
            low = self._join(*self._match(low, high))
        return low

    @abstractmethod
    def _join(self, low: Tensor, high: Tensor, /) -> Tensor:
        """Invert one level."""

    def _fill(self, low: Tensor, highs: list[Tensor | None]) -> list[Tensor | None]:
        """Replace each None by zeros, if the next finer band determines its size."""
        filled: list[Tensor | None] = []
        for high in highs:
            if high is None and filled and filled[-1] is not None:
                finer = filled[-1].shape[-self.axes :]
                sizes = (band_size(n, len(p.low), self.mode) for n, p in zip(finer, self._pairs[::-1], strict=True))
                high = low.new_zeros(self._high_shape(low, sizes))
            filled.append(high)
        return filled

    def _match(self, low: Tensor, high: Tensor | None) -> tuple[Tensor, Tensor]:
        """Replace None by zeros. Crop `low` where an odd size has grown by one at the coarser level."""
        sizes: Sequence[int] = low.shape[2:]
        if high is None:
            high = low.new_zeros(self._high_shape(low, sizes))
        else:
            sizes = [n - (n == m + 1) for n, m in zip(sizes, high.shape[-self.axes :], strict=True)]
        if high.shape != self._high_shape(low, sizes):
            raise ValueError(
                f"a high band of shape {tuple(high.shape)} does not belong to a low band of shape {tuple(low.shape)}: "
                f"{self._high_shape(low, sizes)} is needed; give yh finest first, as the forward transform returns it"
            )
        for size, pair in zip(sizes, reversed(self._pairs), strict=True):
            if self.mode != "periodization" and 2 * size < len(pair.low):
                raise ValueError(
                    f"bands of size {size} are too short for a wavelet of {len(pair.low)} taps: mode {self.mode!r} "
                    f"gives at least {len(pair.low) // 2}; use the wavelet and mode of the forward transform"
                )
        for axis, size in enumerate(sizes, start=2):
            low = low.narrow(axis, 0, size)
        return low, high

    def _high_shape(self, low: Tensor, sizes: Iterable[int]) -> tuple[int, ...]:
        return (*low.shape[:2], *(3,) * (self.axes - 1), *sizes)


class DWTForward(_Forward):
    """Multi-level DWT of images, equal to `pywt.wavedec2`.

    A call takes x (N, C, H, W) and returns yl (N, C, h, w) and yh, a list of J tensors (N, C, 3, h, w), finest first,
    with the bands LH, HL, HH.

    Args:
        J: the number of levels.
        wave: the name of a discrete wavelet, a `pywt.Wavelet`, or its filters `(dec_lo, dec_hi)`. A tuple of four has
            the filters along the width, then those along the height.
        mode: the boundary mode: zero, symmetric, reflect, periodization or periodic.
    Raises:
        ValueError: unknown names or impossible filters; in a call, another shape.
        TypeError: `wave` is of another type; in a call, the tensor is not of floating point.
    """

    axes = 2

    def _split(self, image: Tensor) -> tuple[Tensor, Tensor]:
        if self.is_haar:
            return haar_forward(_even(_even(image, self.mode).mT, self.mode).mT)
        along_width, along_height = self._matrices
        rows = split(image, along_width, self.mode)  # (N, C, H, w) each
        (ll, lh), (hl, hh) = (split(band.mT, along_height, self.mode) for band in rows)  # transposed
        return ll.mT.contiguous(), torch.stack((lh.mT, hl.mT, hh.mT), dim=2)


class DWTInverse(_Inverse):
    """Inverse DWT of images, equal to `pywt.waverec2`.

    A call takes (yl, yh) as `DWTForward` returns them, and returns (N, C, H, W). An odd size has become even. None in
    yh means zeros.

    Args:
        wave: the name of a discrete wavelet, a `pywt.Wavelet`, or its filters `(rec_lo, rec_hi)`, or four filters in
            the order of `DWTForward`.
        mode: the mode of the forward transform.
    Raises:
        ValueError, TypeError: as `DWTForward`; in a call, the shapes of the bands do not fit.
    """

    axes = 2

    def _join(self, low: Tensor, high: Tensor) -> Tensor:
        if self.is_haar:
            return haar_inverse(low, high)
        along_width, along_height = self._matrices
        lh, hl, hh = high.unbind(2)
        left, right = (join(a.mT, b.mT, along_height, self.mode).mT for a, b in ((low, lh), (hl, hh)))  # (N, C, H, w)
        return join(left, right, along_width, self.mode)


class DWT1DForward(_Forward):
    """Multi-level DWT of signals, equal to `pywt.wavedec`.

    A call takes x (N, C, L) and returns yl (N, C, l) and yh, a list of J tensors (N, C, l), finest first. The arguments
    and errors are those of `DWTForward`, without tuples of four filters.
    """

    axes = 1

    def _split(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        if self.is_haar:
            return haar_forward_1d(_even(signal, self.mode))
        return split(signal, self._matrices[0], self.mode)


class DWT1DInverse(_Inverse):
    """Inverse DWT of signals, equal to `pywt.waverec`.

    A call takes (yl, yh) as `DWT1DForward` returns them, and returns (N, C, L). An odd size has become even. None in yh
    means zeros. The arguments and errors are those of `DWTInverse`, without tuples of four filters.
    """

    axes = 1

    def _join(self, low: Tensor, high: Tensor) -> Tensor:
        if self.is_haar:
            return haar_inverse_1d(low, high)
        return join(low, high, self._matrices[0], self.mode)


def _even(signal: Tensor, mode: str) -> Tensor:
    """Extend an odd last axis by one sample as the mode says. Haar's two taps reach no further."""
    return extend(signal, 0, 1, mode) if signal.shape[-1] % 2 else signal


def _check_loaded_filters(module: _Transform, _incompatible_keys: object) -> None:
    """Raise ValueError if a loaded state dict holds the filters of another wavelet."""
    for name, taps in module._filters.items():
        loaded = getattr(module, name)
        same = torch.allclose(loaded.double().cpu(), taps, rtol=0, atol=5e-3)  # a state dict may be in bfloat16
        if not same:
            raise ValueError(
                f"the state dict holds other filters ({name}) than this {type(module).__name__} was built with; "
                "build it with the wavelet that the state dict was saved from"
            )
