"""Measure the times of calls that take turns, the times of the network's parts, and the memory of a call."""

import contextlib
import functools
import gc
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

import torch

import models.synthesis
from models import WaveletVFI

CPU = torch.device("cpu")
Clock = Callable[[], float]  # seconds
#: A module, class or object; the name of its function; the name of the time, or a function that returns it.
Part = tuple[object, str, str | Callable[..., str]]
MIB = 2**20
REST = "wavelets, masks"
PARTS = ("motion", "context", "level 4", "level 3", "level 2", "level 1", REST)
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def interleaved_medians(
    calls: list[Callable[[], object]],
    *,
    repeats: int,
    warmup: int = 3,
    device: torch.device = CPU,
    clock: Clock = time.perf_counter,
) -> list[float]:
    """Return the median seconds of each call. The calls take turns (A B C A B C ...).

    Args:
        repeats: timed calls of each.
        warmup: untimed rounds before them.
        device: the device on which the calls compute.
        clock: returns seconds; used unless the device is a GPU.
    """
    seconds = [[] for _ in calls]
    for turn in range(warmup + repeats):
        for call, taken in zip(calls, seconds, strict=True):
            watch = Stopwatch(device, clock)
            with watch.measure("call"):
                call()
            if turn >= warmup:
                taken.append(watch.seconds()["call"])
    return [statistics.median(taken) for taken in seconds]


class Stopwatch:
    """Seconds by name. They are measured by a clock, or on a GPU by events in its stream, without waiting for it."""

    def __init__(self, device: torch.device, clock: Clock = time.perf_counter):
        self.device, self.clock = device, clock
        self._marks: list[tuple] = []

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the time of the block."""
        start = self._mark()
        yield
        self._marks.append((name, start, self._mark()))

    def around(self, function: Callable, name: str | Callable[..., str]) -> Callable:
        """Return `function` with its time measured. `name` may be a function of the arguments that returns the name."""

        def measured(*args, **options):
            with self.measure(name if isinstance(name, str) else name(*args)):
                return function(*args, **options)

        return measured

    def around_items(self, function: Callable[..., Iterator], name: str) -> Callable[..., Iterator]:
        """Return `function`, which returns an iterator, with the making of each item measured."""

        def measured(*args, **options):
            own = function(*args, **options)
            yield from iter(self.around(functools.partial(next, own, None), name), None)

        return measured

    @contextlib.contextmanager
    def clocked(self, calls: Sequence[Part], items: Sequence[Part] = ()) -> Iterator[None]:
        """Measure functions inside the block.

        Those in `items` return iterators: the making of each item is measured.
        """
        with contextlib.ExitStack() as stack:
            for parts, around in ((calls, self.around), (items, self.around_items)):
                for owner, function, name in parts:
                    stack.enter_context(patch.object(owner, function, around(getattr(owner, function), name)))
            yield

    def seconds(self) -> dict[str, float]:
        """Return the sum of the seconds of every name."""
        on_gpu, total = self.device.type == "cuda", {}
        if on_gpu:
            torch.cuda.synchronize(self.device)
        for name, start, stop in self._marks:
            taken = start.elapsed_time(stop) / 1e3 if on_gpu else stop - start
            total[name] = total.get(name, 0.0) + taken
        return total

    def _mark(self) -> "float | torch.cuda.Event":
        if self.device.type != "cuda":
            return self.clock()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event


def interleaved_parts(
    networks: list[WaveletVFI],
    call: Callable[[WaveletVFI], object],
    *,
    repeats: int,
    warmup: int = 1,
    device: torch.device = CPU,
    clock: Clock = time.perf_counter,
) -> list[dict[str, float]]:
    """Return the median seconds of each of PARTS and of the "whole" in `call(network)`. The networks take turns.

    "motion" is MP-Net and the merged frame. "context" is the encoders. "level l" is the context of the level (warps),
    its convolution and its heads. The rest of the whole is REST, including padding and counting of operations.
    """
    measured = [[] for _ in networks]
    for turn, (network, results) in itertools.product(range(warmup + repeats), zip(networks, measured, strict=True)):
        watch = Stopwatch(device, clock)
        with _measured_parts(network, watch), watch.measure("whole"):
            call(network)
        seconds = watch.seconds()
        seconds[REST] = seconds["whole"] - sum(taken for part, taken in seconds.items() if part != "whole")
        if turn >= warmup:
            results.append(seconds)
    return [{name: statistics.median(s[name] for s in results) for name in (*PARTS, "whole")} for results in measured]


@contextlib.contextmanager
def _measured_parts(network: WaveletVFI, watch: Stopwatch) -> Iterator[None]:
    """Measure the parts of a network inside the block."""
    net = network.synthesis
    convs, synthesise = list(net.levels), net.forward

    def level_of(conv: torch.nn.Module, *_: object) -> str:
        return f"level {1 + next(index for index, known in enumerate(convs) if known is conv)}"

    def with_dense_context(context: list, *args: object) -> list:
        with watch.measure("level 4"):
            _ = context[3].dense  # the network uses this result again
        return synthesise(context, *args)

    measured = [(part, "forward", "level 4") for part in (net.coarsest, net.low_head)]
    measured += [(net.high_heads[3], "masked", "level 4"), (models.synthesis, "sparse_level", level_of)]
    measured += [(network, "perceive", "motion"), (network.context, "forward", "context")]
    with watch.clocked(measured), patch.object(net, "forward", with_dense_context):
        yield


def memory_growth(call: Callable[[], object], device: torch.device = CPU) -> float:
    """Return the MiB that a call needs at its peak, beyond the memory that was used before.

    On a CPU, this is the growth of the resident set, so the process should be new. On a GPU, it is that of PyTorch's
    allocations.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / MIB
    before, highest = _watermark()
    call()
    return max(highest() - before, 0) / MIB  # Linux counts both with an error of some pages


def _watermark() -> tuple[int, Callable[[], int]]:
    """Return the bytes of the resident set now, and a function that returns the highest value from now on."""
    try:
        RESET.write_text("5")  # on Linux, this resets the highest resident set to the present one
        return _resident("VmRSS"), lambda: _resident("VmHWM")
    except OSError:  # another system, or not allowed: an earlier peak may hide that of the call
        return _highest_resident(), _highest_resident


def _resident(name: str) -> int:
    """Return the bytes in the line `name` of Linux's report on this process."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _highest_resident() -> int:
    """Return the bytes of the highest resident set so far."""
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
