"""What the web page of app.py computes and shows: jobs with limits, pictures of what happened inside, figures."""

import contextlib
import html
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models import Interpolation, WaveletVFI
from utils import image_to_tensor, read_image, tensor_to_image
from video import Options, Summary, VideoReader, convert
from video.picture import flow_to_rgb, with_wheel

DIMMED = 0.2  # brightness of what a mask leaves out

Amount = dict[str, float]  # {"ratio": ...} or {"budget": ...}, or nothing: the network chooses
Report = Callable[[int, int | None], object]  # frames done, frames expected where the file says


class Limits(NamedTuple):
    """megapixels: of a frame. frames: of a clip."""

    megapixels: float
    frames: int

    def check_size(self, width: int, height: int, name: str) -> None:
        """Raises ValueError for frames that are too large."""
        if width * height > self.megapixels * 1e6:
            raise ValueError(
                f"{name} has {width}x{height} = {width * height / 1e6:.1f} megapixels, this page takes "
                f"{self.megapixels:g}: scale it down, start the page with a larger --max_megapixels, "
                "or use interpolate.py, which has no limit"
            )

    def check_length(self, frames: int, name: str) -> None:
        """Raises ValueError for clips that are too long."""
        if frames > self.frames:
            raise ValueError(
                f"{name} has {frames} frames or more, this page takes {self.frames}: cut it, start the page with a "
                "larger --max_frames, or use interpolate.py, which has no limit"
            )


class Setup(NamedTuple):
    """What every job works with. weights: their name. folder: for results."""

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

    def __init__(self, model: WaveletVFI):
        self._model = model
        self.config = model.config
        self._motion = -1.0
        self.costs: list[float] = []
        self.liveliest: Pair | None = None

    def interpolate(self, img0: Tensor, img1: Tensor, **options: float | None) -> Tensor:
        return self.interpolate_details(img0, img1, **options).frame

    def interpolate_details(self, img0: Tensor, img1: Tensor, **options: float | None) -> Interpolation:
        started = time.monotonic()
        output = self._model.interpolate_details(img0, img1, **options)
        self.costs.append(output.candidates[0].cost.mean().item())
        motion = output.motion.flow_t0.norm(dim=1).mean().item()
        if motion > self._motion:
            self._motion, self.liveliest = motion, Pair(img0, img1, output, time.monotonic() - started)
        return output


def open_image(path: str | Path, limits: Limits) -> np.ndarray:
    """(H, W, 3) uint8. Raises ValueError: not an image, damaged, or larger than the limit."""
    width = height = 0
    failures = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # `read_image` says what is wrong
    with contextlib.suppress(*failures), Image.open(path) as image:
        width, height = image.size  # known before any pixel is decoded
    limits.check_size(width, height, Path(path).name)
    return tensor_to_image(read_image(path))


def interpolate_pair(setup: Setup, paths: list[str | None], amount: Amount) -> WatchedModel:
    """The network after one pair of image files. Raises ValueError: not two, unreadable, too large, of two sizes."""
    if None in paths:
        raise ValueError("two images are needed: the frame before and the frame after")
    img0, img1 = (image_to_tensor(open_image(path, setup.limits)).to(setup.device) for path in paths)
    if img0.shape != img1.shape:
        first, last = (f"{image.shape[-1]}x{image.shape[-2]}" for image in (img0, img1))
        raise ValueError(f"both frames need one size, the first is {first} and the last {last}: scale them to one size")
    watched = WatchedModel(setup.model)
    watched.interpolate(img0, img1, **amount)
    return watched


def interpolate_clip(
    setup: Setup, path: str | None, output: Path, amount: Amount, *, multiplier: int, report: Report
) -> tuple[WatchedModel, Summary]:
    """Write the smoother clip, with its sound, to `output`; the network after it, and what was done.

    Raises:
        ValueError: no clip, not a video, or beyond the limits.
    """
    if path is None:
        raise ValueError("a clip is needed")
    name, watched = Path(path).name, WatchedModel(setup.model)
    with contextlib.closing(VideoReader(path)) as reader:
        setup.limits.check_size(*reversed(reader.size), name)
        setup.limits.check_length(reader.total or 0, name)

        def on_progress(done: int, expected: int | None) -> None:
            setup.limits.check_length(-(-done // multiplier), name)  # what a file says about itself may be wrong
            report(done, expected)

        options = Options(multiplier=multiplier, **amount)
        summary = convert([Path(path)], output, watched, options, device=setup.device, on_progress=on_progress)
        if watched.liveliest is None:  # nothing moves: the network was not needed
            image = image_to_tensor(next(reader.frames()).image).to(setup.device)
            watched.interpolate(image, image, **amount)
    return watched, summary


def compared(pair: Pair) -> dict[str, np.ndarray]:
    """What the middle frame can be held against, by name, and itself, "middle frame"."""
    pictures = {
        "average of both": (pair.img0 + pair.img1) / 2,
        "first frame": pair.img0,
        "last frame": pair.img1,
        "middle frame": pair.output.frame,
    }
    return {name: tensor_to_image(picture) for name, picture in pictures.items()}


def inside(pair: Pair) -> list[tuple[np.ndarray, str]]:
    """Pictures of the frame's size, with captions: the motion, what it merges, what is added, and where."""
    height, width = pair.img0.shape[-2:]
    motion, synthesis = pair.output.motion, pair.output.candidates[0]
    flows = [flow[..., :height, :width] for flow in (motion.flow_t0, motion.flow_t1)]
    fastest = [flow.norm(dim=1).max().item() for flow in flows]
    merged = pair.output.merged[..., :height, :width]
    correction = pair.output.frame - merged
    gain = 0.5 / max(correction.abs().max().item(), 1e-6)
    occlusion = motion.occlusion[..., :height, :width].expand(-1, 3, -1, -1)
    pictures = [
        (with_wheel(flow_to_rgb(flows[0])), f"Flow to the first frame, at most {fastest[0]:.1f} pixels"),
        (with_wheel(flow_to_rgb(flows[1])), f"Flow to the last frame, at most {fastest[1]:.1f} pixels"),
        (tensor_to_image(occlusion), "Occlusion: white comes from the first frame, black from the last"),
        (tensor_to_image(merged), "Merged: both frames moved along the flow and blended"),
        (tensor_to_image(0.5 + gain * correction), f"What the wavelet synthesis changed, {gain:.0f} times as strong"),
    ]
    for level, mask in enumerate(synthesis.masks, 1):
        lit = mask.repeat_interleave(2**level, -2).repeat_interleave(2**level, -1)[..., :height, :width]
        picture = pair.output.frame * (DIMMED + (1 - DIMMED) * lit)
        caption = f"Mask of level {level}: details are computed where it is light, {mask.mean().item():.0%}"
        pictures.append((tensor_to_image(picture), caption))
    return pictures


def figures(watched: WatchedModel) -> str:
    """Cost, operations, ratio and time as HTML."""
    pair, count = watched.liveliest, len(watched.costs)
    output, (height, width) = pair.output, pair.img0.shape[-2:]
    cost = sum(watched.costs) / count
    executed, published = output.executed_gmacs.item(), output.published_gmacs.item()
    tiles = [
        (f"{cost:.0%}", "cost", "of the dense synthesis" if count == 1 else f"mean of {count} pairs", cost),
        (f"{output.candidates[0].ratio.item():.2g}", "threshold ratio", "0 computes everything"),
        (f"{executed:.3g}", "GMACs executed", f"{published:.3g} as published tables count"),
        (f"{pair.seconds:.2f} s", "for one pair", f"of {width}x{height} pixels"),
    ]
    cells = "".join(_tile(*tile) for tile in tiles)
    return f'<div class="figures">{cells}</div>'


def plain_message(error: Exception, *paths: str | Path | None) -> str:
    """The error's text as HTML, with the names of uploaded files instead of where the server keeps them."""
    text = str(error)
    for path in filter(None, paths):
        text = text.replace(str(path), Path(path).name)
    return html.escape(text, quote=False)


def _tile(value: str, name: str, note: str, share: float | None = None) -> str:
    bar = "" if share is None else f'<span class="bar"><i style="width: {min(share, 1):.0%}"></i></span>'
    return f"<div><b>{value}</b>{bar}<span>{name}</span><small>{note}</small></div>"
