"""The jobs of the web page, their limits, their progress and remaining time, and a way to stop them."""

import contextlib
import html
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models import Interpolation, WaveletVFI
from models.config import Passes
from utils import image_to_tensor, read_image, tensor_to_image
from video import Options, Summary, convert
from video.read.source import open_reader
from video.schedule.timeline import Timeline

MOST_TIMES = 8  # the output may have so many times the frames that a clip may have

Amount = dict[str, float]  # {"ratio": ...} or {"budget": ...}; empty: the network chooses the ratio
Report = Callable[[int, int | None], object]  # takes the frames that are done, and those expected or None
Show = Callable[[float | None, str], object]  # takes the part that is done, 0 to 1, and a text


class Limits(NamedTuple):
    """The limits of the page.

    megapixels: the most megapixels of a frame.
    frames: the most frames of a clip.
    """

    megapixels: float
    frames: int

    def check_size(self, width: int, height: int, name: str) -> None:
        """Raise ValueError if frames are too large."""
        if width * height > self.megapixels * 1e6:
            found = f"{name} has {width}x{height} = {width * height / 1e6:.1f} megapixels"
            raise _beyond_limit(found, f"takes {self.megapixels:g}: scale it down", "--max_megapixels")

    def check_length(self, frames: int, name: str) -> None:
        """Raise ValueError if a clip is too long."""
        if frames > self.frames:
            raise _beyond_limit(f"{name} has {frames} frames or more", f"takes {self.frames}: cut it", "--max_frames")

    def check_output(self, frames: int, name: str) -> None:
        """Raise ValueError if the output would be too long."""
        most = MOST_TIMES * self.frames
        if frames > most:
            raise _beyond_limit(f"{name} would become {frames} frames", f"makes {most}: ask for fewer", "--max_frames")


def _beyond_limit(found: str, limit: str, option: str) -> ValueError:
    """Return the error for a job that exceeds a limit of the page. It names the ways out."""
    return ValueError(
        f"{found}, this page {limit}, start the page with a larger {option}, or use interpolate.py, which has no limit"
    )


class Setup(NamedTuple):
    """The parts that every job needs.

    model: the network.
    weights: the name of its weights.
    device: its device.
    limits: the limits of the page.
    folder: the folder for results.
    """

    model: WaveletVFI
    weights: str
    device: torch.device
    limits: Limits
    folder: Path


class Pair(NamedTuple):
    """Two frames and the network's output for them.

    img0, img1: (1, 3, H, W) in [0, 1].
    output: the output.
    seconds: the computing time.
    """

    img0: Tensor
    img1: Tensor
    output: Interpolation
    seconds: float


class WatchedModel:
    """A network that stores its cost for every pair, and everything about the pair with the largest mean motion.

    costs: the cost of every pair.
    liveliest: the pair with the largest mean motion.
    """

    def __init__(self, model: WaveletVFI, *, passes: Passes | None = None):
        """Watch a network. `passes` is the number of runs of its motion network; the default is that of the weights."""
        self._model, self._passes = model, passes
        self.config = model.config
        self._motion = -1.0
        self.costs: list[float] = []
        self.liveliest: Pair | None = None

    def interpolate(self, img0: Tensor, img1: Tensor, **options: float | None) -> Tensor:
        return self.interpolate_details(img0, img1, **options).frame

    def interpolate_details(self, img0: Tensor, img1: Tensor, **options: float | None) -> Interpolation:
        started = time.monotonic()
        output = self._model.interpolate_details(img0, img1, passes=self._passes, **options)
        self.costs.append(output.candidates[0].cost.mean().item())
        motion = output.motion.flow_t0.norm(dim=1).mean().item()
        if motion > self._motion:
            self._motion, self.liveliest = motion, Pair(img0, img1, output, time.monotonic() - started)
        return output


def open_image(path: str | Path, limits: Limits) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8.

    Raises:
        ValueError: the file is not an image, is damaged, or is larger than the limit.
    """
    width = height = 0
    failures = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # `read_image` below reports the reason
    with contextlib.suppress(*failures), Image.open(path) as image:
        width, height = image.size  # known before any pixel is decoded
    limits.check_size(width, height, Path(path).name)
    return tensor_to_image(read_image(path))


def interpolate_pair(
    setup: Setup, paths: list[str | None], amount: Amount, *, t: float | None = None, passes: Passes | None = None
) -> WatchedModel:
    """Interpolate one pair of image files. Return the network with what it stored.

    Args:
        paths: the two files; None for a missing one.
        amount: the threshold ratio or the budget.
        t, passes: as for `WaveletVFI.interpolate`.
    Raises:
        ValueError: an image is missing, cannot be read or is too large, the images differ in size, or the weights do
            not make the time.
    """
    if None in paths:
        raise ValueError("two images are needed: the frame before and the frame after")
    img0, img1 = (image_to_tensor(open_image(path, setup.limits)).to(setup.device) for path in paths)
    if img0.shape != img1.shape:
        first, last = (f"{image.shape[-1]}x{image.shape[-2]}" for image in (img0, img1))
        raise ValueError(f"both frames need one size, the first is {first} and the last {last}: scale them to one size")
    watched = WatchedModel(setup.model, passes=passes)
    watched.interpolate(img0, img1, t=t, **amount)
    return watched


def check_clip(path: str | Path, limits: Limits) -> None:
    """Check the size and the length that a video file declares.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a video, or exceeds the limits.
    """
    with contextlib.closing(open_reader([Path(path)])) as reader:
        limits.check_size(*reversed(reader.size), Path(path).name)
        limits.check_length(reader.total or 0, Path(path).name)


def interpolate_clip(
    setup: Setup, path: str | None, output: Path, options: Options, *, report: Report, passes: Passes | None = None
) -> tuple[WatchedModel, Summary]:
    """Write the smoother or slower clip to `output`. Return the network with what it stored, and a summary.

    Args:
        path: the clip, or None if it is missing.
        options: the options of the conversion.
        report: a function that `convert` calls after each frame. An exception in it stops the job.
        passes: as for `WaveletVFI.interpolate`.
    Raises:
        ValueError: the clip is missing, is not a video, or exceeds the limits.
    """
    if path is None:
        raise ValueError("a clip is needed: drop one, or use the example")
    name, watched, limits = Path(path).name, WatchedModel(setup.model, passes=passes), setup.limits
    check_clip(path, limits)
    with contextlib.closing(open_reader([Path(path)])) as reader:
        timeline = Timeline(multiplier=options.multiplier, fps=options.fps, slow=options.slow)
        factor = timeline.rate(reader.rate) * timeline.slow / reader.rate  # output frames per input frame
        if reader.total:
            limits.check_output(timeline.total(reader.total, reader.rate), name)

        def on_progress(done: int, expected: int | None) -> None:
            limits.check_length(math.floor(done / factor), name)  # the length that a file declares may be wrong
            report(done, expected)

        threads = torch.get_num_threads()  # all threads: the network is watched, so it stays in this process
        summary = convert(
            [Path(path)], output, watched, options, device=setup.device, on_progress=on_progress, threads=threads
        )
        if watched.liveliest is None:  # nothing moves, and the network was not called
            image = image_to_tensor(next(reader.frames()).image).to(setup.device)
            watched.interpolate(image, image, ratio=options.ratio)
    return watched, summary


def plain_message(error: Exception, *paths: str | Path | None) -> str:
    """Return the text of an error as HTML, with the names of uploaded files instead of their paths on the server."""
    text = str(error)
    for path in filter(None, paths):
        text = text.replace(str(path), Path(path).name)
    return html.escape(text, quote=False)


class Stopped(Exception):
    """A job was stopped by its user, or because its page was closed."""


class Stops:
    """The running jobs, by the session of the page that began them. A session has one job at a time."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}
        self._closed = threading.Event()
        self._closed.set()

    def begin(self, session: str) -> None:
        """Note a new job of a session, and stop its previous one. The new job may have to wait for others."""
        self.stop(session)
        self._events[session] = threading.Event()

    def event(self, session: str) -> threading.Event:
        """Return the event that is set if the session's job has to stop, or must not begin."""
        return self._events.get(session, self._closed)

    def stop(self, session: str) -> None:
        """Stop the session's job, if there is one, even while it waits."""
        if session in self._events:
            self._events[session].set()

    def finish(self, session: str, event: threading.Event) -> None:
        """Note that the job with this event has ended. A newer job of the session continues."""
        if self._events.get(session) is event:
            del self._events[session]

    def end(self, session: str) -> None:
        """Stop the session's job and forget the session, as its page was closed or loaded again."""
        self.stop(session)
        self._events.pop(session, None)


class Countdown:
    """A function that shows the finished frames, the expected ones and the remaining time.

    It takes the number of finished frames and of expected ones, or None. It raises `Stopped` after `event` is set.
    """

    def __init__(self, show: Show, event: threading.Event | None = None, clock: Callable[[], float] = time.monotonic):
        self._show, self._event, self._clock = show, event or threading.Event(), clock
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, expected: int | None) -> None:
        if self._event.is_set():
            raise Stopped
        if self._first is None:
            self._first = self._clock(), done
        if not expected:
            self._show(None, f"{done} frames")
            return
        started, already = self._first
        new, left = done - already, max(expected - done, 0)
        text = f"{done} of {expected} frames"
        if new and left:
            text += f", {_in_words((self._clock() - started) / new * left)} left"
        self._show(min(done / expected, 1), text)


def _in_words(seconds: float) -> str:
    """Return a time as people say it: "12 s", "3 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
