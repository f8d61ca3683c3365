"""The jobs of the web page of app.py, with limits."""

import contextlib
import html
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models import Interpolation, WaveletVFI
from models.passes import Passes
from utils import image_to_tensor, read_image, tensor_to_image
from video import Options, Summary, VideoReader, convert
from video.schedule.timeline import Timeline

MOST_TIMES = 8  # as many frames as a clip may have are made of it

Amount = dict[str, float]  # {"ratio": ...} or {"budget": ...}, or nothing: the network chooses
Report = Callable[[int, int | None], object]  # frames done, frames expected where the file says


class Limits(NamedTuple):
    """megapixels: of a frame. frames: of a clip."""

    megapixels: float
    frames: int

    def check_size(self, width: int, height: int, name: str) -> None:
        """Raise ValueError for frames that are too large."""
        if width * height > self.megapixels * 1e6:
            raise ValueError(
                f"{name} has {width}x{height} = {width * height / 1e6:.1f} megapixels, this page takes "
                f"{self.megapixels:g}: scale it down, start the page with a larger --max_megapixels, "
                "or use interpolate.py, which has no limit"
            )

    def check_length(self, frames: int, name: str) -> None:
        """Raise ValueError for clips that are too long."""
        if frames > self.frames:
            raise ValueError(
                f"{name} has {frames} frames or more, this page takes {self.frames}: cut it, start the page with a "
                "larger --max_frames, or use interpolate.py, which has no limit"
            )

    def check_output(self, frames: int, name: str) -> None:
        """Raise ValueError for clips that would become too long."""
        most = MOST_TIMES * self.frames
        if frames > most:
            raise ValueError(
                f"{name} would become {frames} frames, this page makes {most}: ask for fewer, start the page with a "
                "larger --max_frames, or use interpolate.py, which has no limit"
            )


class Setup(NamedTuple):
    """The parts that every job needs. weights: their name. folder: for results."""

    model: WaveletVFI
    weights: str
    device: torch.device
    limits: Limits
    folder: Path


class Pair(NamedTuple):
    """Two frames and what the network made of them. img0, img1: (1, 3, H, W); seconds: that it took."""

    img0: Tensor
    img1: Tensor
    output: Interpolation
    seconds: float


class WatchedModel:
    """A network that remembers its cost for every pair, and of the pair with the largest mean motion everything."""

    def __init__(self, model: WaveletVFI, *, passes: Passes | None = None):
        """passes: how often the motion network runs; default: as the weights say."""
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
    """Return (H, W, 3) uint8. Raises ValueError: not an image, damaged, or larger than the limit."""
    width = height = 0
    failures = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # `read_image` says what is wrong
    with contextlib.suppress(*failures), Image.open(path) as image:
        width, height = image.size  # known before any pixel is decoded
    limits.check_size(width, height, Path(path).name)
    return tensor_to_image(read_image(path))


def interpolate_pair(
    setup: Setup, paths: list[str | None], amount: Amount, *, t: float | None = None, passes: Passes | None = None
) -> WatchedModel:
    """Return the network after one pair of image files.

    Args:
        t, passes: as of `WaveletVFI.interpolate`.
    Raises:
        ValueError: not two images, unreadable, too large, of two sizes, or a time that the weights do not make.
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
    """Check a clip as far as its file says.

    Raises:
        ValueError: not a video, or beyond the limits. FileNotFoundError: no such file.
    """
    with contextlib.closing(VideoReader(path)) as reader:
        limits.check_size(*reversed(reader.size), Path(path).name)
        limits.check_length(reader.total or 0, Path(path).name)


def interpolate_clip(
    setup: Setup, path: str | None, output: Path, options: Options, *, report: Report, passes: Passes | None = None
) -> tuple[WatchedModel, Summary]:
    """Write the smoother or slower clip to `output`; return the network after it, and what was done.

    report: called as `convert` does; what it raises stops the job. passes: as of `WaveletVFI.interpolate`.

    Raises:
        ValueError: no clip, not a video, or beyond the limits.
    """
    if path is None:
        raise ValueError("a clip is needed: drop one, or use the example")
    name, watched, limits = Path(path).name, WatchedModel(setup.model, passes=passes), setup.limits
    check_clip(path, limits)
    with contextlib.closing(VideoReader(path)) as reader:
        timeline = Timeline(multiplier=options.multiplier, fps=options.fps, slow=options.slow)
        factor = timeline.rate(reader.rate) * timeline.slow / reader.rate  # frames made of one
        if reader.total:
            limits.check_output(timeline.total(reader.total, reader.rate), name)

        def on_progress(done: int, expected: int | None) -> None:
            limits.check_length(math.floor(done / factor), name)  # what a file says about itself may be wrong
            report(done, expected)

        threads = torch.get_num_threads()  # all: nobody compares the bytes, and a model that is watched stays here
        summary = convert(
            [Path(path)], output, watched, options, device=setup.device, on_progress=on_progress, threads=threads
        )
        if watched.liveliest is None:  # nothing moves: the network was not needed
            image = image_to_tensor(next(reader.frames()).image).to(setup.device)
            watched.interpolate(image, image, ratio=options.ratio)
    return watched, summary


def plain_message(error: Exception, *paths: str | Path | None) -> str:
    """Return the error's text as HTML, with the names of uploaded files instead of their paths on the server."""
    text = str(error)
    for path in filter(None, paths):
        text = text.replace(str(path), Path(path).name)
    return html.escape(text, quote=False)
