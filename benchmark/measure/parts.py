"""Measure parts on their own: the ways to compute a sparse level on this machine, and our wavelets beside PyPI's.

The times of the ways, for several masks, are the table of `models/sparse/costs.py`. The halo of a mask is the mask
dilated by 3x3 pixels. The density of a map is the part of its pixels that are active.

The wavelets are one Haar level of 1x3x720x1280, forward and inverse, beside PyPI's `pytorch_wavelets`.
"""

import functools
import importlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

import pytorch_wavelets
from models import find_config
from models.bands import dilate
from models.config import Config
from models.layers import SLOPE, channels_last
from models.sparse import SparseConv2d, sparse_level
from models.sparse.costs import Row, processor
from models.synthesis import SPARSE_LEVELS, LevelContext

from .timing import interleaved_medians

WAYS = ("folded", "windows", "winograd")
DENSITIES = (0.03, 0.1, 0.25, 0.5, 0.75, 1.0)  # of the masks; their halos are denser
DTYPES = (torch.float32, torch.bfloat16)
SPOT = 16  # pixels; about the size of a blob in a mask
BETWEEN = Config(context=(16, 32, 48, 64), synthesis=(72, 144, 216, 192))  # widths between those of small and base
REFERENCE = 'pytorch_wavelets==1.3.0 "setuptools<81"'  # it imports pkg_resources, which later versions do not have
WAVELET_MODES = ("zero", "symmetric", "periodization")
WAVELET_SHAPE = (1, 3, 720, 1280)


class Shape(NamedTuple):
    """The shape of one sparse level.

    context: channels of its context.
    coarse: channels of the features from the coarser level.
    width: channels of its own features.
    height, columns: the size of its maps in pixels.
    """

    context: int
    coarse: int
    width: int
    height: int
    columns: int


def shapes() -> list[Shape]:
    """Return the levels of `small`, of a network between, and of `base`: one level per width, the narrowest first.

    Frames have 1280x720 pixels, or 640x360 for `base`.
    """
    found: dict[int, Shape] = {}
    for config, size in ((find_config("small"), 1.0), (BETWEEN, 1.0), (find_config("base"), 0.5)):
        for level in SPARSE_LEVELS:
            height, columns = (int(side * size / 2**level) // 4 * 4 for side in (720, 1280))
            width, coarse = config.synthesis[level - 1], config.synthesis[level]
            found.setdefault(width, Shape(3 * config.context[level - 1], coarse, width, height, columns))
    return [found[width] for width in sorted(found)]


def random_mask(shape: Shape, density: float) -> Tensor:
    """Return a mask (1, 1, h, w) of 2x2 cells with smooth borders, like a network's, with about this density."""
    generator = torch.Generator().manual_seed(1)
    cells = shape.height // 2, shape.columns // 2
    blobs = torch.randn(1, 1, cells[0] // SPOT + 2, cells[1] // SPOT + 2, generator=generator)
    noise = F.interpolate(blobs, size=cells, mode="bicubic") + 0.15 * torch.randn(1, 1, *cells, generator=generator)
    least = noise.quantile(1 - density) if density < 1 else noise.min()
    return F.interpolate((noise >= least).float(), scale_factor=2)


@torch.inference_mode()
def measure(shape: Shape, dtype: torch.dtype, repeats: int) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield the density of the halo and the median CPU seconds of each way, for each of `DENSITIES`."""
    conv = SparseConv2d(shape.context, shape.width, coarse_channels=shape.coarse).to(dtype)
    head = SparseConv2d(shape.width, 9).to(dtype)
    size = shape.height, shape.columns
    features = [channels_last(torch.randn(1, shape.context // 3, *size).to(dtype)) for _ in range(3)]
    flows = [torch.randn(1, 2, *size) for _ in range(2)]
    coarse = channels_last(torch.randn(1, shape.coarse, size[0] // 2, size[1] // 2).to(dtype))
    for density in DENSITIES:
        mask = random_mask(shape, density)
        halo = dilate(mask)

        def level(way: str, mask: Tensor = mask, halo: Tensor = halo) -> None:
            conv.method = way
            context = LevelContext(features[:2], flows, features[2])
            sparse_level(conv, head, context, coarse, mask, halo, slope=SLOPE, keep=True)

        calls = [functools.partial(level, way) for way in WAYS]
        seconds = interleaved_medians(calls, repeats=repeats, warmup=1, clock=time.process_time)
        yield halo.mean().item(), dict(zip(WAYS, seconds, strict=True))


def fit(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Fit a line (start, slope) by least squares of relative errors. Neither value is negative.

    Args:
        points: (density, time as a share of the time of the way "folded").
    """
    x, y = torch.tensor(points, dtype=torch.double).T
    design = torch.stack([torch.ones_like(x), x], dim=1) / y[:, None]
    start, slope = torch.linalg.lstsq(design, torch.ones_like(y)).solution.tolist()
    return round(max(start, 0.0), 2), round(max(slope, 0.0), 2)


def row_of(shape: Shape, dtype: torch.dtype, repeats: int) -> Row:
    """Measure one row of the table."""
    measured = list(measure(shape, dtype, repeats))
    folded = statistics.median(times["folded"] for _, times in measured)  # it does not depend on the density
    lines = (fit([(density, times[way] / folded) for density, times in measured]) for way in WAYS[1:])
    return Row(shape.width, *lines)


def tune(*, repeats: int) -> None:
    """Measure this machine and print the rows for the table."""
    torch.set_num_threads(1)
    print(f"# {processor()}, one thread, PyTorch {torch.__version__}")
    levels = shapes()
    with tqdm(total=len(DTYPES) * len(levels), unit="level", disable=None) as bar:
        for dtype in DTYPES:
            print(f"        {dtype}: (")
            for shape in levels:
                row = row_of(shape, dtype, repeats)
                print(f"            Row({row.width}, {row.windows}, {row.winograd}),", flush=True)
                bar.update()
            print("        ),")


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
