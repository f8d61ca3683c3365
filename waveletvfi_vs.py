"""from waveletvfi import waveletvfi_vs
clip = waveletvfi_vs.vsfunc(clip, factor_num=5, factor_den=2)

A filter for VapourSynth scripts. It makes frames between those of a clip, for any rate. VapourSynth is optional.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.startup import require
from models import waveletvfi
from models.loading import default_checkpoint
from utils import pick_device
from video.render.network import Model, Network
from video.render.pipeline import make_between
from video.schedule.timeline import DEEPEST, Timeline, place_of

KEPT = 4  # number of source frames, and of pairs with made frames, that are kept
FORMATS = ("RGBS", "RGBH")


def vsfunc(
    clip: Any,
    *,
    factor_num: int = 2,
    factor_den: int = 1,
    fps_num: int | None = None,
    fps_den: int = 1,
    sc: bool = True,
    checkpoint: str | Path | None = None,
    ratio: float | None = None,
    budget: float | None = None,
    passes: int | str | None = None,
    precision: str = "float32",
    device: str = "auto",
    tile: int | None = None,
    depth: int | None = None,
    model: Model | None = None,
) -> Any:
    """Return a clip with `factor_num / factor_den` times as many frames, or with `fps_num / fps_den` frames per second.

    Frames of the clip are not changed. A frame between two scenes repeats the last frame of the first scene. The frame
    properties _DurationNum, _DurationDen, _AbsoluteTime, _SceneChangePrev and _SceneChangeNext are set.

    Args:
        clip: a clip of format RGBS or RGBH and of constant size, with values from 0 to 1.
        sc: make no frames between two scenes. The property _SceneChangeNext marks them, as misc.SCDetect sets it.
        checkpoint, precision, passes, device: as for `models.waveletvfi`. Default: the shipped weights, and CUDA if
            the machine has it.
        ratio, budget, tile: as for `video.render.network.Network`.
        depth: for weights that only make the middle frame: frames are made at multiples of 1 / 2^depth.
        model: a network on `device`, instead of weights.
    Raises:
        ValueError: the clip is of another kind, a rate is impossible, or VapourSynth is not installed.
    """
    vs = require("vapoursynth", "the VapourSynth filter (on Python 3.12 or newer)")
    _check_clip(clip)
    for name, value in (("factor_den", factor_den), ("fps_den", fps_den)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    factor = find_factor(
        Fraction(factor_num, factor_den),
        fps=None if fps_num is None else Fraction(fps_num, fps_den),
        rate=Fraction(clip.fps_num, clip.fps_den) if clip.fps_num else None,
    )
    if depth is not None and not 1 <= depth <= DEEPEST:
        raise ValueError(f"depth must be from 1 to {DEEPEST}, got {depth}")
    where = pick_device(device)
    if model is None:
        model = waveletvfi(checkpoint or default_checkpoint(), device=where, precision=precision, passes=passes)
    network = Network(model, ratio=ratio, budget=budget, device=where, tile=tile)
    maker = Maker(network, factor, count=clip.num_frames, obeys_scenes=sc, depth=depth)
    rate = Fraction(clip.fps_num, clip.fps_den or 1) * factor  # 0 for one that varies
    base = vs.core.std.BlankClip(clip, length=maker.total, fpsnum=rate.numerator, fpsden=rate.denominator, keep=True)
    before, after = (_stretch(vs.core, source, factor) for source in (clip, clip[1:] + clip[-1]))
    return base.std.ModifyFrame([before, after], lambda n, f: maker.make(n, *f))


def _stretch(core: Any, clip: Any, factor: Fraction) -> Any:
    """Return a clip whose frame n is frame floor(n / factor) of `clip`, with the properties of that frame."""
    if factor.numerator > 1:
        clip = core.std.Interleave([clip] * factor.numerator, modify_duration=False)
    if factor.denominator > 1:
        clip = core.std.SelectEvery(clip, cycle=factor.denominator, offsets=[0], modify_duration=False)
    return clip


def find_factor(factor: Fraction, *, fps: Fraction | None, rate: Fraction | None) -> Fraction:
    """Return the number of output frames per frame of the clip.

    Args:
        factor: this number, unless `fps` is given.
        fps: the rate of the output in frames per second.
        rate: the rate of the clip in frames per second, or None if it varies.
    Raises:
        ValueError: the number is less than 1 or too large, or `fps` is given for a clip without a rate.
    """
    if fps is not None:
        if rate is None:
            raise ValueError("fps_num needs a clip of constant rate; give factor_num, or use std.AssumeFPS first")
        factor = fps / rate
    Timeline(multiplier=factor)  # raises ValueError if it is too large
    return factor


class Maker:
    """The maker of the frames of an output clip, in any order.

    total: the number of output frames.
    """

    def __init__(
        self, network: Network, factor: Fraction, *, count: int, obeys_scenes: bool = True, depth: int | None = None
    ):
        """Set the network and the clip.

        Args:
            network: the network.
            factor: the number of output frames per frame of the source.
            count: the number of frames of the source.
            obeys_scenes: make no frames between two scenes.
            depth: as for `vsfunc`.
        """
        self._network, self._factor, self._count, self._obeys_scenes = network, factor, count, obeys_scenes
        self._steps = None if network.any_time else 2 ** (depth or Timeline(multiplier=factor).halvings(Fraction(1)))
        self.total = math.floor(count * factor)
        self._lock = threading.Lock()
        self._images: OrderedDict[int, Tensor] = OrderedDict()  # of the source, by number
        self._made: OrderedDict[tuple[int, Fraction | None], dict[Fraction, Tensor]] = OrderedDict()

    def place(self, n: int) -> tuple[int, Fraction]:
        """Return the place of frame n of the output between two frames of the source.

        Returns:
            The number of the source frame before it, and the part of the time from that frame to the next one, in
            [0, 1).
        """
        return divmod(n / self._factor, 1)

    def make(self, n: int, frame0: Any, frame1: Any) -> Any:
        """Return frame n of the output, given the frames of the source before and after it."""
        index, offset = self.place(n)
        is_held = index + 1 >= self._count or (self._obeys_scenes and frame0.props.get("_SceneChangeNext", 0))
        step = Fraction(0) if is_held else self._nearest(offset)
        made = (frame1 if step == 1 else frame0).copy()
        if 0 < step < 1:
            with self._lock:
                image = self._between(index, step, frame0, frame1)
            for plane, values in enumerate(image):
                np.copyto(np.asarray(made[plane]), values, casting="same_kind")
        self._set_properties(made.props, n, frame0.props, frame1.props)
        return made

    def _nearest(self, offset: Fraction) -> Fraction:
        return place_of(offset, Fraction(0), Fraction(1), self._steps)

    def _between(self, index: int, step: Fraction, frame0: Any, frame1: Any) -> np.ndarray:
        """Return the frame (3, H, W) at the time `step` of the pair that begins with source frame `index`."""
        key = (index, step if self._network.any_time else None)
        if key not in self._made:
            # Halving makes some frames on the way to others, so all frames of a pair are made together.
            wanted = [step] if self._network.any_time else self._steps_of(index)
            pair = self._image(index, frame0), self._image(index + 1, frame1)
            self._made[key] = dict(make_between(*pair, wanted, self._network, []))
            _forget(self._made, KEPT)
        return self._made[key][step][0].clamp(0, 1).cpu().numpy()

    def _steps_of(self, index: int) -> list[Fraction]:
        first, end = math.ceil(index * self._factor), math.ceil((index + 1) * self._factor)
        return sorted({self._nearest(self.place(n)[1]) for n in range(first, end)} - {0, 1})

    def _image(self, index: int, frame: Any) -> Tensor:
        """Return a frame as (1, 3, H, W), always the same tensor, as the network stores the features of a tensor."""
        if index not in self._images:
            planes = np.stack([np.asarray(frame[plane]) for plane in range(3)])
            self._images[index] = torch.from_numpy(planes)[None].float().clamp(0, 1).to(self._network.device)
            _forget(self._images, KEPT)
        return self._images[index]

    def _set_properties(self, props: Any, n: int, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Set the duration, the time and the changes of scenes. A frame may last for parts of two source frames."""
        index, offset = self.place(n)
        parts = (min(1 / self._factor, 1 - offset), max(1 / self._factor - (1 - offset), Fraction(0)))
        lasts = [_duration(source) for source in (before, after)]
        if lasts[0] is not None and (lasts[1] is not None or not parts[1]):
            seconds = sum((part * (last or 0) for part, last in zip(parts, lasts, strict=True)), Fraction(0))
            props["_DurationNum"], props["_DurationDen"] = seconds.numerator, seconds.denominator
        if "_AbsoluteTime" in before and lasts[0] is not None:
            props["_AbsoluteTime"] = before["_AbsoluteTime"] + float(offset * lasts[0])
        is_first = n == 0 or self.place(n - 1)[0] != index
        is_last = self.place(n + 1)[0] != index
        for name, is_here in (("_SceneChangePrev", is_first), ("_SceneChangeNext", is_last)):
            if name in before:
                props[name] = int(bool(before[name]) and is_here)


def _duration(props: Mapping[str, Any]) -> Fraction | None:
    """Return the seconds for which a frame is shown, or None if its properties do not say."""
    if "_DurationNum" not in props or not props.get("_DurationDen"):
        return None
    return Fraction(props["_DurationNum"], props["_DurationDen"])


def _forget(kept: OrderedDict, size: int) -> None:
    while len(kept) > size:
        kept.popitem(last=False)


def _check_clip(clip: Any) -> None:
    if clip.format is None or clip.format.name not in FORMATS or not clip.width:
        name = "a format or size that changes" if clip.format is None or not clip.width else clip.format.name
        raise ValueError(
            f"vsfunc takes a clip of {' or '.join(FORMATS)}, got {name}; "
            "convert it first: core.resize.Bicubic(clip, format=vs.RGBS, matrix_in_s='709')"
        )
    if clip.num_frames < 2:
        raise ValueError("vsfunc needs a clip of at least two frames, got one")
