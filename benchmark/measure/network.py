"""Measure the network by every path, beside the published formula: time, parts, memory, operations, and the frame.

A path is a way to compute the network: a method for its sparse convolutions, and a precision. All paths get the same
two real frames, of any size, and the same threshold ratios.
"""

import argparse
import concurrent.futures
import functools
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from datasets.clips import EXAMPLE, decode_clip
from models import PRECISIONS, Interpolation, WaveletVFI, waveletvfi
from models.bands import Bands, haar_pyramid
from models.budget import smallest_allowed
from models.macs import executed_gmacs
from models.sparse import METHODS
from models.sparse.triton_kernels import is_available
from utils import read_image

from ..metrics import psnr
from .timing import interleaved_medians, interleaved_parts, memory_growth

CLIP, FIRST = EXAMPLE.stem, 43  # the default frames
LESS = 1 - 2**-10  # a ratio times this has a cost above the one that was asked for


class NetworkPath(NamedTuple):
    """A way to compute the network.

    method: one of `METHODS`.
    precision: one of `PRECISIONS`.
    """

    method: str
    precision: str = "float32"

    @classmethod
    def parse(cls, text: str) -> "NetworkPath":
        """Parse METHOD or METHOD:PRECISION. Raise argparse.ArgumentTypeError if one of them is unknown."""
        method, _, precision = text.partition(":")
        path = cls(method, precision or "float32")
        if method not in METHODS or path.precision not in PRECISIONS or text.endswith(":"):
            raise argparse.ArgumentTypeError(
                f"a path is METHOD or METHOD:PRECISION, METHOD one of {', '.join(METHODS)}, "
                f"PRECISION one of {', '.join(PRECISIONS)}; got {text!r}"
            )
        return path

    def __str__(self) -> str:
        return self.method if self.precision == "float32" else f"{self.method}:{self.precision}"


PUBLISHED = NetworkPath("masked")


class Setting(NamedTuple):
    """The setting that all measurements share.

    checkpoint: the weights.
    config: the name of the configuration, if the weights do not contain it.
    device: the device of the network.
    frames: two image files, or none for the default ones.
    threads: CPU threads of PyTorch.
    repeats: timed calls of each path.
    parts: True also measures the times of the parts.
    memory: True also measures the memory.
    tf32: True lets a GPU use TF32 for float32.
    cpu_time: True measures the CPU time of all threads of the process instead of the elapsed time.
    """

    checkpoint: Path
    config: str = "base"
    device: torch.device = torch.device("cpu")
    frames: tuple[Path, ...] = ()
    threads: int = 1
    repeats: int = 5
    parts: bool = False
    memory: bool = True
    tf32: bool = False
    cpu_time: bool = False


class Row(NamedTuple):
    """The measurements of one path at one size and cost.

    size: (width, height) of the frames.
    asked: the cost that was asked for.
    ratio: the threshold ratio for it.
    cost: the cost that this ratio has.
    path: the path in words.
    seconds: the median time.
    relative: the time divided by that of the published formula in float32.
    published_gmacs: 10^9 operations, as published tables count them.
    executed_gmacs: 10^9 multiply-accumulates that were computed.
    saved: the saved share of the time divided by the saved share of the operations; None if no operations are saved.
    memory: the peak growth in MiB, None if it was not measured.
    relative_memory: the memory divided by that of the published formula.
    difference: the largest difference from the frame of the published formula.
    psnr: the PSNR of the frame against that of the published formula, in dB.
    fixed: the share of the dense network's multiply-accumulates that no mask reduces.
    parts: the seconds of each of PARTS and of the "whole", None if they were not measured.
    """

    size: tuple[int, int]
    asked: float
    ratio: float
    cost: float
    path: str
    seconds: float
    relative: float
    published_gmacs: float
    executed_gmacs: float
    saved: float | None
    memory: float | None
    relative_memory: float | None
    difference: float
    psnr: float
    fixed: float
    parts: dict[str, float] | None


def measure_network(
    setting: Setting, paths: Sequence[NetworkPath], sizes: Sequence[tuple[int, int]], costs: Sequence[float]
) -> list[Row]:
    """Measure every path. Return a row per size, cost and path, in this order, where the published formula is first.

    Raises:
        FileNotFoundError: there are no such weights or frames.
        ValueError: weights or frames cannot be read, or the device does not support a path.
    """
    if setting.device.type not in ("cpu", "cuda"):
        raise ValueError(f"times are measured on cpu or cuda, got {setting.device}")
    if any(path.method == "triton" for path in paths) and not is_available(setting.device):
        raise ValueError(f"the path triton needs triton and a CUDA GPU, got {setting.device}; leave it out")
    _configure(setting)
    paths = list(dict.fromkeys([PUBLISHED, *paths]))
    networks = [open_network(setting, path) for path in paths]
    rows = []
    with tqdm(total=len(sizes) * len(costs), unit="case", disable=None) as bar:
        for size in sizes:
            frames = load_frames(setting.frames, size, setting.device)
            for asked, ratio in zip(costs, find_ratios(networks[0], *frames, costs), strict=True):
                bar.set_description(f"{size[0]}x{size[1]}, cost {asked:g}")
                rows += _measure_case(setting, dict(zip(paths, networks, strict=True)), frames, size, asked, ratio)
                bar.update()
    return rows


def open_network(setting: Setting, path: NetworkPath) -> WaveletVFI:
    """Return the network that is computed by a path."""
    return waveletvfi(
        setting.checkpoint, config=setting.config, device=setting.device, sparse=path.method, precision=path.precision
    )


def load_frames(files: Sequence[Path], size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return two frames, scaled to (width, height): (1, 3, height, width) in [0, 1] each.

    Args:
        files: two images, or none for two frames of the example clip.
        size: width and height in pixels.
    Raises:
        FileNotFoundError: there is no such image or clip.
        ValueError: a file cannot be read, or the images differ in size.
    """
    if files:
        images = [read_image(path) for path in files]
        if images[0].shape != images[1].shape:
            shapes = " and ".join(f"{image.shape[-1]}x{image.shape[-2]}" for image in images)
            raise ValueError(f"both frames must have one size, got {shapes}")
    else:
        images = (decode_clip(EXAMPLE, FIRST + 2)[FIRST:] / 255).split(1)
    scaled = (F.interpolate(image, size=size[::-1], mode="bicubic", antialias=True) for image in images)
    img0, img1 = (image.clamp(0, 1).to(device) for image in scaled)
    return img0, img1


@torch.inference_mode()
def find_ratios(network: WaveletVFI, img0: Tensor, img1: Tensor, costs: Sequence[float]) -> list[float]:
    """Return the threshold ratios whose costs are closest to the wanted ones; 0 for cost 1.

    The network runs once, with ratio 0. Larger ratios keep its details or drop them (`Bands.at`).

    Args:
        img0, img1: (1, 3, H, W) in [0, 1].
        costs: multiply-accumulates of the sparse convolutions, as fractions of the dense ones.
    """
    output = network.interpolate_details(img0, img1, ratio=0.0)
    bands = _all_bands(network, output)
    ceiling = bands.largest_ratio()

    def cost(ratio: Tensor) -> Tensor:
        return network.synthesis.costs.of(bands.at(ratio))

    def closest(wanted: float) -> float:
        if wanted == 1:
            return 0.0
        zero = torch.zeros_like(ceiling)
        enough = smallest_allowed(zero, ceiling, lambda ratio: cost(ratio) <= wanted)
        return min((zero, enough * LESS, enough), key=lambda ratio: abs(cost(ratio).item() - wanted)).item()

    return [closest(wanted) for wanted in costs]


def _all_bands(network: WaveletVFI, output: Interpolation) -> Bands:
    """Return the bands of an output that was made with ratio 0. In the correction form, they are the correction's."""
    lows, highs = haar_pyramid(output.merged) if network.config.correction else ([0] * 5, [0] * 4)
    made, nothing = output.candidates[0], torch.zeros_like(output.candidates[0].ratio)
    bands = Bands(made.low - lows[4], lows, made.low - lows[4])
    for level in (4, 3, 2, 1):
        bands = bands.add(made.highs[level - 1] - highs[level - 1], nothing)
    return bands


def _measure_case(
    setting: Setting,
    networks: dict[NetworkPath, WaveletVFI],
    frames: tuple[Tensor, Tensor],
    size: tuple[int, int],
    asked: float,
    ratio: float,
) -> Iterator[Row]:
    """Yield the rows of one size and cost, the published formula first."""

    def call(network: WaveletVFI) -> Tensor:
        return network.interpolate(*frames, ratio=ratio)

    each: dict[str, Any] = {"repeats": setting.repeats, "warmup": 1, "device": setting.device}
    if setting.cpu_time:
        each["clock"] = time.process_time
    outputs = [network.interpolate_details(*frames, ratio=ratio) for network in networks.values()]
    calls = [functools.partial(call, network) for network in networks.values()]
    seconds = interleaved_medians(calls, **each)
    parts = interleaved_parts([*networks.values()], call, **each) if setting.parts else [None] * len(networks)
    memory = [_memory(setting, path, size, ratio, one) for path, one in zip(networks, calls, strict=True)]
    reference, dense = outputs[0].frame, outputs[0].executed_gmacs.item()
    for index, ((path, network), output) in enumerate(zip(networks.items(), outputs, strict=True)):
        executed, relative = output.executed_gmacs.item(), seconds[index] / seconds[0]
        less = 1 - executed / dense
        fixed = executed_gmacs(network, *output.merged.shape[-2:], torch.zeros(1)).item()  # no mask reduces these
        yield Row(
            *(size, asked, ratio, output.candidates[0].cost.item(), str(path), seconds[index], relative),
            *(output.published_gmacs.item(), executed, (1 - relative) / less if less > 0 else None),
            *(memory[index], memory[index] / memory[0] if setting.memory and memory[0] > 0 else None),
            *((output.frame - reference).abs().max().item(), psnr(output.frame, reference).item()),
            *(fixed / dense, parts[index]),
        )


def _memory(
    setting: Setting, path: NetworkPath, size: tuple[int, int], ratio: float, call: Callable[[], Tensor]
) -> float | None:
    """Return the memory of a call in MiB. On a CPU, a new process measures it."""
    if not setting.memory:
        return None
    if setting.device.type == "cuda":
        return memory_growth(call, setting.device)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_memory_in_this_process, setting, path, size, ratio).result()


def _memory_in_this_process(setting: Setting, path: NetworkPath, size: tuple[int, int], ratio: float) -> float:
    _configure(setting)
    network, frames = open_network(setting, path), load_frames(setting.frames, size, setting.device)
    return memory_growth(lambda: network.interpolate(*frames, ratio=ratio))


def _configure(setting: Setting) -> None:
    torch.set_num_threads(setting.threads)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = setting.tf32
