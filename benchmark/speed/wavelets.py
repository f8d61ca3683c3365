"""Measure our wavelets beside PyPI's `pytorch_wavelets`: one Haar level of 1x3x720x1280, forward and inverse."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import torch

import pytorch_wavelets

from .timing import interleaved_medians

REFERENCE = 'pytorch_wavelets==1.3.0 "setuptools<81"'  # it imports pkg_resources, which later versions do not have
WAVELET_MODES = ("zero", "symmetric", "periodization")
WAVELET_SHAPE = (1, 3, 720, 1280)


@torch.no_grad()
def measure_wavelets(reference: ModuleType, *, repeats: int) -> None:
    """Print a Markdown table: the times of one Haar level, forward and inverse, for each boundary mode.

    Args:
        reference: PyPI's package, from `load_reference_wavelets`.
        repeats: timed calls of each.
    """
    torch.ones(6 * 2**20)  # after this block is freed, glibc keeps such memory, as in a long-lived process
    images = torch.rand(WAVELET_SHAPE)
    size = "x".join(map(str, WAVELET_SHAPE))
    print(f"| Haar, {size} | mode | ours (ms) | pytorch_wavelets 1.3.0 (ms) | times faster |\n|---|---|---|---|---|")
    for mode in WAVELET_MODES:
        forwards = [package.DWTForward(J=1, wave="haar", mode=mode) for package in (pytorch_wavelets, reference)]
        inverses = [package.DWTInverse(wave="haar", mode=mode) for package in (pytorch_wavelets, reference)]
        bands = forwards[0](images)
        for name, modules, data in (("forward", forwards, images), ("inverse", inverses, bands)):
            torch.testing.assert_close(modules[0](data), modules[1](data))
            ours, theirs = interleaved_medians([lambda m=m, d=data: m(d) for m in modules], repeats=repeats)
            print(f"| {name} | {mode} | {ours * 1e3:.2f} | {theirs * 1e3:.2f} | {theirs / ours:.1f} |")


def load_reference_wavelets(folder: Path | None) -> ModuleType:
    """Import PyPI's `pytorch_wavelets` from its own folder. Our package keeps its name in `sys.modules`."""
    install = f"pip install --no-deps --target {folder or 'reference_wavelets'} {REFERENCE}"
    if folder is None or not (folder / "pytorch_wavelets" / "dwt").is_dir():
        sys.exit(f"--reference_wavelets must be a folder with pytorch_wavelets 1.3.0, got {folder}; run\n    {install}")
    ours = _take_modules("pytorch_wavelets")
    sys.path.insert(0, str(folder))
    try:
        reference = importlib.import_module("pytorch_wavelets")
    except ModuleNotFoundError as error:
        sys.exit(f"the package in {folder} needs {error.name!r}, which is not installed; run\n    {install}")
    finally:
        sys.path.remove(str(folder))
        _take_modules("pytorch_wavelets")
        sys.modules.update(ours)
    return reference


def _take_modules(package: str) -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.split(".")[0] == package]
    return {name: sys.modules.pop(name) for name in names}
