"""Speed against other implementations, measured in one run.

    pip install --no-deps --target reference_wavelets pytorch_wavelets==1.3.0 "setuptools<81"
    python benchmark/speed.py --wavelets --reference_wavelets reference_wavelets --threads 2

--wavelets: one Haar level of 1x3x720x1280, our `pytorch_wavelets` beside PyPI's of the same name, forward and inverse.
The two take turns (A B A B ...), so that a busy machine disturbs both alike; the table shows medians and their ratio.
"""

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import pytorch_wavelets

REFERENCE = 'pytorch_wavelets==1.3.0 "setuptools<81"'  # it imports pkg_resources, which later setuptools lack
WAVELET_MODES = ("zero", "symmetric", "periodization")
WAVELET_SHAPE = (1, 3, 720, 1280)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wavelets", action="store_true", help="compare the Haar transforms")
    parser.add_argument(
        "--reference_wavelets", "--reference-wavelets", type=Path, metavar="DIR", help="folder with PyPI's package"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of PyTorch")
    parser.add_argument("--repeats", type=int, default=200, help="timed calls of each")
    args = parser.parse_args()
    if not args.wavelets:
        parser.error("nothing to measure: give --wavelets")
    return args


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    print(f"PyTorch {torch.__version__}, CPU, {args.threads} threads, median of {args.repeats} calls\n")
    if args.wavelets:
        measure_wavelets(load_reference_wavelets(args.reference_wavelets), repeats=args.repeats)


@torch.no_grad()
def measure_wavelets(reference: ModuleType, *, repeats: int) -> None:
    """Print a Markdown table: one Haar level forward and inverse, ours and the reference's, per boundary mode."""
    torch.ones(6 * 2**20)  # once a larger block was freed, glibc keeps such memory, as in any longer-lived process
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


def interleaved_medians(calls: list[Callable[[], object]], *, repeats: int) -> list[float]:
    """Median seconds of each call, the calls taking turns, after three untimed rounds."""
    seconds = [[] for _ in calls]
    for turn in range(repeats + 3):
        for call, taken in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            if turn >= 3:
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def load_reference_wavelets(folder: Path | None) -> ModuleType:
    """PyPI's `pytorch_wavelets` from a folder of its own; ours keeps its name in `sys.modules`."""
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


if __name__ == "__main__":
    main(parse_args())
