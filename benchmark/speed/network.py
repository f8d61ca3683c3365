"""Measure the network by every path, beside the published formula: time, parts, memory, operations, and the frame.

A path is a way to compute the network: a method for its sparse convolutions, and a precision.
"""

import concurrent.futures
import functools
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from models import PRECISIONS, WaveletVFI, waveletvfi
from models.macs import executed_gmacs
from models.sparse import METHODS
from models.sparse.triton_kernels import is_available

from ..metrics import psnr
from .cases import find_ratios, load_frames
from .timing import interleaved_medians, interleaved_parts, memory_growth


class NetworkPath(NamedTuple):
    """A way to compute the network.

    method: one of `METHODS`.
    precision: one of `PRECISIONS`.
    """

    method: str
    precision: str = "float32"

    @classmethod
    def parse(cls, text: str) -> "NetworkPath":
        """Parse METHOD or METHOD:PRECISION. Raise ValueError if one of them is unknown."""
        method, _, precision = text.partition(":")
        path = cls(method, precision or "float32")
        if method not in METHODS or path.precision not in PRECISIONS or text.endswith(":"):
            raise ValueError(
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
        setting.checkpoint,
        config=setting.config,
        device=setting.device,
        sparse=path.method,
        precision=path.precision,
    )


def _measure_case(
    setting: Setting,
    networks: dict[NetworkPath, WaveletVFI],
    frames: tuple[Tensor, Tensor],
    size: tuple[int, int],
    asked: float,
    ratio: float,
) -> Iterator[Row]:
    """Yield the rows of one size and cost, the published formula first."""
    each: dict[str, Any] = {"repeats": setting.repeats, "warmup": 1, "device": setting.device}
    if setting.cpu_time:
        each["clock"] = time.process_time
    call = functools.partial(_interpolate, frames=frames, ratio=ratio)
    outputs = [_summary(network, frames, ratio) for network in networks.values()]
    seconds = interleaved_medians([functools.partial(call, n) for n in networks.values()], **each)
    parts = interleaved_parts([*networks.values()], call, **each) if setting.parts else [None] * len(networks)
    memory = [_memory(setting, path, network, frames, size, ratio) for path, network in networks.items()]
    reference, dense = outputs[0], outputs[0].executed_gmacs
    for index, (path, output) in enumerate(zip(networks, outputs, strict=True)):
        relative, less = seconds[index] / seconds[0], 1 - output.executed_gmacs / dense
        yield Row(
            *(size, asked, ratio, output.cost, str(path), seconds[index], relative),
            *(output.published_gmacs, output.executed_gmacs, (1 - relative) / less if less > 0 else None),
            *(memory[index], memory[index] / memory[0] if setting.memory and memory[0] > 0 else None),
            (output.frame - reference.frame).abs().max().item(),
            psnr(output.frame, reference.frame).item(),
            *(output.fixed / dense, parts[index]),
        )


class _Output(NamedTuple):
    """The frame of a path, and its operations.

    frame: (1, 3, H, W) in [0, 1].
    cost, published_gmacs, executed_gmacs: as in `Row`.
    fixed: 10^9 multiply-accumulates that no mask reduces.
    """

    frame: Tensor
    cost: float
    published_gmacs: float
    executed_gmacs: float
    fixed: float


def _summary(network: WaveletVFI, frames: tuple[Tensor, Tensor], ratio: float) -> _Output:
    output = network.interpolate_details(*frames, ratio=ratio)
    height, width = output.merged.shape[-2:]
    cost, published, executed = output.candidates[0].cost, output.published_gmacs, output.executed_gmacs
    fixed = executed_gmacs(network, height, width, torch.zeros(1))
    return _Output(output.frame, *(value.item() for value in (cost, published, executed, fixed)))


def _interpolate(network: WaveletVFI, frames: tuple[Tensor, Tensor], ratio: float) -> Tensor:
    return network.interpolate(*frames, ratio=ratio)


def _memory(
    setting: Setting,
    path: NetworkPath,
    network: WaveletVFI,
    frames: tuple[Tensor, Tensor],
    size: tuple[int, int],
    ratio: float,
) -> float | None:
    """Return the memory in MiB. On a CPU, a new process measures it."""
    if not setting.memory:
        return None
    if setting.device.type == "cuda":
        return memory_growth(functools.partial(_interpolate, network, frames, ratio), setting.device)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_memory_in_this_process, setting, path, size, ratio).result()


def _memory_in_this_process(setting: Setting, path: NetworkPath, size: tuple[int, int], ratio: float) -> float:
    _configure(setting)
    network, frames = open_network(setting, path), load_frames(setting.frames, size, setting.device)
    return memory_growth(functools.partial(_interpolate, network, frames, ratio))


def _configure(setting: Setting) -> None:
    torch.set_num_threads(setting.threads)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = setting.tf32
