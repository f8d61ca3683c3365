"""Measure the whole tool: frames per second of `interpolate.py`, beside FFmpeg's `minterpolate` and other networks.

Two kinds of runs are measured:

- Programs: `interpolate.py` with its default options, and FFmpeg. Each is a process, as a user starts it.
- Pipelines: `video.convert` in this process, with our network, with a peer, or with the average of the two frames.
  Only the network differs, so the average shows the cost of everything else. Clocks measure the seconds in which each
  stage was busy. Stages run at the same time, so their shares may add up to more than 1.

The overhead of a pipeline is counted in CPU time, so other load matters little. It is the time of the pipeline's own
code (colours, cuts, checks, copies, the plan) as a share of all CPU time of the process. That code runs in three
threads; the calls of the network and of the codecs in them are subtracted. Decoder and encoder also work in threads of
their own: the codecs' part is what neither the network nor the pipeline takes.
"""

import functools
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

import av
import torch
from av.video.reformatter import Interpolation
from torch import Tensor
from tqdm import tqdm

from datasets.clips import EXAMPLE
from models import default_checkpoint, waveletvfi
from models.loading import choose_precision
from utils import pick_device
from video import Model, VideoReader, convert, making
from video.read.decode import Pictures
from video.write import segments
from video.write.job import Sink
from video.write.segments import SegmentWriter

from ..methods import Function, average
from .timing import Part, Stopwatch

ROOT = Path(__file__).resolve().parents[2]
OURS, IN_PROCESS, FFMPEG, FREE = "interpolate.py", "our network", "ffmpeg minterpolate", "average (a free network)"
MISSING = "ffmpeg is not on PATH"
STAGES = ("decode", "network", "encode")
SHARES = ("network", "codecs", "pipeline")  # of CPU time
SIZES = ((640, 272), (1280, 720), (1920, 1080))
#: What is busy in each stage, besides the network. "write" and "finish" call the encoder.
STAGE_CALLS: list[Part] = [(SegmentWriter, "write", "encode"), (SegmentWriter, "finish", "encode")]
STAGE_ITEMS: list[Part] = [(VideoReader, "frames", "decode")]
#: What the pipeline's threads do, by a clock of the thread. "plan" is all of the thread that decodes, "sink" all of the
#: one that encodes. "decoder" and "encoder" are the codecs in them, the latter with the "conversion" to its format.
THREAD_CALLS: list[Part] = [
    *((Sink, "write", "sink"), (segments, "as_stored", "conversion")),
    *((SegmentWriter, "write", "encoder"), (SegmentWriter, "finish", "encoder")),
]
THREAD_ITEMS: list[Part] = [(making, "plan", "plan"), (Pictures, "_decode", "decoder")]
#: FFmpeg's options for the encoder that interpolate.py uses by default.
ENCODER = ("-c:v", "libx264", "-crf", "18", "-preset", "medium")


class ToolSetting(NamedTuple):
    """The setting that all runs share.

    clip: the video, which is scaled.
    length: the number of its frames that are used.
    peers: other networks for the pipeline.
    threads: CPU threads of PyTorch in the pipelines of this process.
    repeats: runs of each, of which the median counts.
    """

    clip: Path = EXAMPLE
    length: int = 24
    peers: tuple[Function, ...] = ()
    threads: int = 1
    repeats: int = 1


class Run(NamedTuple):
    """One run from the input file to the output file.

    frames: the number of frames in the output.
    seconds: the elapsed time.
    first: the seconds of a run for two input frames, which is the start-up and one made frame; None for a pipeline.
    stages: the seconds in which "decode", "network" and "encode" were busy; None for a program.
    cpu: the seconds of CPU time of "network", "codecs" and "pipeline"; None for a program, and with more than one
        thread of PyTorch, whose time no clock assigns.
    """

    frames: int
    seconds: float
    first: float | None = None
    stages: dict[str, float] | None = None
    cpu: dict[str, float] | None = None


class ToolRow(NamedTuple):
    """The measurement of one method at one size.

    size: (width, height) of the frames.
    method: the name of the method.
    run: the median run, or None if the method could not run.
    note: the reason for a missing run.
    free: the seconds with a free network divided by the seconds with this one; None for a program.
    """

    size: tuple[int, int]
    method: str
    run: Run | None
    note: str = ""
    free: float | None = None


class PeerModel:
    """A peer (`benchmark.methods.Function`) as a network for `video.convert`."""

    def __init__(self, peer: Function):
        self._peer, self.fingerprint = peer, peer.name
        self.config = SimpleNamespace(any_time=peer.any_time)

    @torch.no_grad()
    def interpolate(self, img0: Tensor, img1: Tensor, *, t: float = 0.5, **_: float | None) -> Tensor:
        """Return the frame at time t between two frames (1, 3, H, W) in [0, 1]."""
        return self._peer.predict(img0, img1, [0], t)[0].frame


def measure_tool(setting: ToolSetting, sizes: Sequence[tuple[int, int]]) -> Iterator[list[ToolRow]]:
    """Yield the rows of each size: the two programs, our network, the peers, the free network.

    Raises:
        FileNotFoundError: there is no such clip.
        ValueError: the clip has fewer than two frames, or a program fails.
    """
    device = pick_device()
    ours = waveletvfi(default_checkpoint(), device=device, precision=choose_precision(device))  # as in interpolate.py
    pipelines = {IN_PROCESS: ours}
    pipelines |= {peer.name: PeerModel(peer) for peer in setting.peers} | {FREE: PeerModel(average())}
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=len(sizes) * setting.repeats * (2 + len(pipelines)), unit="run", disable=None) as bar,
    ):
        for size in sizes:
            clip = scale_clip(setting.clip, size, setting.length, Path(folder) / f"{size[0]}x{size[1]}.mp4")
            short = scale_clip(setting.clip, size, 2, Path(folder) / f"{size[0]}x{size[1]} short.mp4")
            runs: dict[str, Callable[[], Run] | None] = {
                OURS: functools.partial(run_program, interpolate_command, clip, short),
                FFMPEG: functools.partial(run_program, ffmpeg_command, clip, short) if shutil.which("ffmpeg") else None,
            }
            for name, model in pipelines.items():
                runs[name] = functools.partial(run_pipeline, clip, short, model, device, setting.threads)
            yield list(_compare(size, runs, setting.repeats, bar))


def _compare(
    size: tuple[int, int], runs: dict[str, Callable[[], Run] | None], repeats: int, bar: tqdm
) -> Iterator[ToolRow]:
    """Measure the runs, which take turns, and yield a row for each."""
    found: dict[str, list[Run]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            bar.set_description(f"{size[0]}x{size[1]}, {name}")
            found[name] += [run()] if run else []
            bar.update()
    medians = {name: sorted(some, key=lambda run: run.seconds)[len(some) // 2] for name, some in found.items() if some}
    for name in runs:
        if name not in medians:
            yield ToolRow(size, name, None, MISSING)
            continue
        run = medians[name]
        yield ToolRow(size, name, run, free=None if run.stages is None else medians[FREE].seconds / run.seconds)


def scale_clip(source: Path, size: tuple[int, int], length: int, path: Path) -> Path:
    """Write the first `length` frames of a video, scaled to (width, height), as H.264 of high quality.

    Raises:
        FileNotFoundError: there is no such video.
        ValueError: it cannot be read, or has fewer than two frames.
    """
    reader, count = VideoReader(source), 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=reader.rate, options={"crf": "12"})
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        for frame in reader.frames():
            picture = av.VideoFrame.from_ndarray(frame.image, format="rgb24" if reader.bits == 8 else "rgb48le")
            scaled = picture.reformat(*size, format="yuv420p", interpolation=Interpolation.BICUBIC)
            scaled.pts, scaled.time_base, count = count, 1 / reader.rate, count + 1
            container.mux(stream.encode(scaled))
            if count == length:
                break
        container.mux(stream.encode())
    if count < 2:
        raise ValueError(f"{source} has {count} frame; at least two are needed, name another --clip")
    return path


def interpolate_command(clip: Path, output: Path) -> list[str]:
    """Return the command with which a user doubles the rate of a clip."""
    return [sys.executable, str(ROOT / "interpolate.py"), str(clip), "--output", str(output), "--overwrite"]


def ffmpeg_command(clip: Path, output: Path) -> list[str]:
    """Return the command that does the same with FFmpeg's motion compensation."""
    doubled = f"minterpolate=fps={2 * VideoReader(clip).rate}:mi_mode=mci"
    return ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(clip), "-vf", doubled, *ENCODER, str(output)]


def run_program(command: Callable[[Path, Path], list[str]], clip: Path, short: Path) -> Run:
    """Run a program on the clip and on its first two frames. Raise ValueError if it fails."""
    output = clip.with_name("made.mp4")
    seconds = []
    for source in (short, clip):
        words, start = command(source, output), time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise ValueError(f"{Path(words[1]).name if words[0] == sys.executable else words[0]} failed: {said}")
    return Run(sum(1 for _ in VideoReader(output).frames()), seconds[1], seconds[0])


def run_pipeline(clip: Path, short: Path, model: Model, device: torch.device, threads: int) -> Run:
    """Run the pipeline in this process and measure its stages, after an unmeasured run on `short`."""
    watch, output = Stopwatch(torch.device("cpu")), clip.with_name("made.mp4")
    work = Stopwatch(torch.device("cpu"), time.thread_time)
    run = functools.partial(convert, output=output, model=model, device=device, overwrite=True, threads=threads)
    run([short])
    name = "interpolate_details" if hasattr(model, "interpolate_details") else "interpolate"
    network = (model, name, "network")
    with (
        patch.object(model, name, _finished(getattr(model, name), device)),
        watch.clocked([network, *STAGE_CALLS], STAGE_ITEMS),
        work.clocked([network, *THREAD_CALLS], THREAD_ITEMS),
    ):
        start = time.process_time()
        with work.measure("all"):
            done = run([clip])
        whole = time.process_time() - start
    stages = {name: watch.seconds().get(name, 0.0) for name in STAGES}
    return Run(done.frames, done.seconds, stages=stages, cpu=_shares(work.seconds(), whole) if threads == 1 else None)


def _shares(seconds: dict[str, float], whole: float) -> dict[str, float]:
    """Return the CPU time by `SHARES` from the times of `THREAD_CALLS` and `THREAD_ITEMS`, and the whole CPU time."""
    network, all_threads = seconds.get("network", 0.0), sum(seconds[name] for name in ("all", "plan", "sink"))
    codecs_in_threads = sum(seconds.get(name, 0.0) for name in ("decoder", "encoder")) - seconds.get("conversion", 0.0)
    pipeline = all_threads - network - codecs_in_threads
    return {"network": network, "codecs": whole - network - pipeline, "pipeline": pipeline}


def _finished(call: Callable[..., object], device: torch.device) -> Callable[..., object]:
    """Return `call` such that a GPU has computed its result when it returns."""

    def finished(*args: object, **options: object) -> object:
        made = call(*args, **options)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return made

    return finished
