"""The methods to compare: our network with one ratio or several, any function of two frames, and the average."""

import hashlib
import inspect
import math
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor

import utils
from models import Interpolation, WaveletVFI

RANGE = 0.5  # a peer's frame that exceeds [0, 1] by more is taken to be in other units


class Prediction(NamedTuple):
    """One predicted frame.

    frame: (B, 3, H, W) in [0, 1], or with values that are not finite.
    details: the whole output of our network, or None for other methods.
    """

    frame: Tensor
    details: Interpolation | None = None


class Method(Protocol):
    """A way to predict frames, with one or several rows in the tables.

    name: the name of the method.
    rows: the names of its rows.
    identity: everything that decides its predictions, as JSON can hold it.
    any_time: True if it makes a frame at any time, False if it only makes the middle frame.
    """

    name: str
    rows: list[str]
    identity: dict[str, Any]
    any_time: bool

    def predict(self, img0: Tensor, img1: Tensor, rows: list[int], t: float = 0.5) -> list[Prediction]:
        """Predict the frames at time t between img0 and img1, (B, 3, H, W) each, in [0, 1].

        Args:
            rows: the numbers of the rows that are wanted.
            t: the time, where img0 is at 0 and img1 at 1.
        Returns:
            One prediction for each of these rows.
        """


class OurNetwork:
    """Our network as a method, with a row per option.

    Args:
        model: the network.
        name: the name of its weights.
        options: one option, {"ratio": r}, {"budget": b} or {} for the network's choice. Several options
            {"ratio": r or None} are a sweep, computed together.
        identity: everything that decides the weights and the arithmetic.
    """

    def __init__(self, model: WaveletVFI, name: str, options: list[dict[str, float | None]], identity: dict[str, Any]):
        self.model, self.name, self.options = model, name, options
        self.rows = [f"{name}, {describe(option)}" for option in options]
        self.identity = identity | {"options": options}
        self.any_time = model.config.any_time

    def predict(self, img0: Tensor, img1: Tensor, rows: list[int], t: float = 0.5) -> list[Prediction]:
        time = {"t": t} if self.any_time else {}
        if len(rows) == 1:
            outputs = [self.model.interpolate_details(img0, img1, **self.options[rows[0]], **time)]
        else:
            ratios = [self.options[row].get("ratio") for row in rows]
            outputs = self.model.sweep(img0, img1, ratios, **time)
            if 0 in ratios:  # ratio 0 alone would need the operations of the whole sweep
                executed = sum(candidate.executed for output in outputs for candidate in output.candidates)
                place = ratios.index(0)
                candidates = [outputs[place].candidates[0]._replace(executed=executed)]
                outputs[place] = outputs[place]._replace(alone=True, candidates=candidates)
        return [Prediction(output.frame, output) for output in outputs]


class Function:
    """A function as a method. It takes two batches (B, 3, H, W) in [0, 1] and returns their middle frames.

    A function of three arguments also takes the time, 0 < t < 1. Values a little outside [0, 1] are clipped. Infinite
    values count as NaN.
    """

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str, identity: dict[str, Any] | None = None):
        self.function, self.name, self.rows = function, name, [name]
        self.identity = identity or {"function": name}
        self.any_time = _takes_time(function)

    def predict(self, img0: Tensor, img1: Tensor, rows: list[int], t: float = 0.5) -> list[Prediction]:
        frame = self._call(img0, img1, *([t] if self.any_time else []))
        if not isinstance(frame, Tensor) or frame.shape != img0.shape:
            got = tuple(frame.shape) if isinstance(frame, Tensor) else type(frame).__name__
            raise ValueError(f"{self.name} must return frames of shape {tuple(img0.shape)}, got {got}")
        whole = frame.isfinite()
        low, high = frame.where(whole, 0.5).aminmax()
        if low < -RANGE or high > 1 + RANGE:
            raise ValueError(f"{self.name} must return RGB in [0, 1], got values from {low:g} to {high:g}")
        return [Prediction(frame.to(img0).clamp(0, 1).where(whole, math.nan))]

    def _call(self, img0: Tensor, img1: Tensor, *time: float) -> Any:
        try:
            return self.function(img0, img1, *time)
        except Exception as error:  # the function may raise anything
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise ValueError(
                f"{self.name} failed for frames of shape {tuple(img0.shape)}: {type(error).__name__}: {error} "
                f"({place.filename}, line {place.lineno}); mend it and add --resume, which keeps all other scores"
            ) from error


def _takes_time(function: Callable) -> bool:
    """Return True if a function needs a third argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # functions that are not written in Python may have no signature
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(needed) == 3


def average() -> Function:
    """Return the simplest method, the average of the two frames. Every other method should be better."""
    return Function(lambda img0, img1: (img0 + img1) / 2, "average of the two frames")


def open_peer(text: str) -> Function:
    """Open a peer: the function "module:function" of another project. The working folder is searched, too.

    Raises:
        ValueError: the text has another form, there is no such module or function, or it cannot be called.
    """
    function = utils.find_function(text, "peer")
    source = inspect.getsourcefile(sys.modules[text.partition(":")[0]])
    digest = hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else None
    return Function(function, text, {"peer": text, "source": digest})


def describe(option: dict[str, float | None]) -> str:
    """Describe an option in words."""
    if option.get("budget") is not None:
        return f"budget {option['budget']:g}"
    return "auto" if option.get("ratio") is None else f"ratio {option['ratio']:g}"


def between(
    method: Method,
    img0: Tensor,
    img1: Tensor,
    parts: int,
    rows: list[int] | None = None,
    wanted: list[int] | None = None,
) -> list[list[Prediction]]:
    """Predict frames at the times k / parts between two frames.

    A method that makes any time predicts each frame directly. Any other predicts the middle frame, then the middle
    frames of both halves, and so on, as far as they are needed.

    Args:
        img0, img1: (B, 3, H, W) in [0, 1].
        parts: a power of two.
        rows: the numbers of the rows that are wanted. Default: all.
        wanted: the numbers k of the wanted frames, in rising order. Default: all, from 1 to parts - 1.
    Returns:
        For each of these rows, the predictions in the order of time.
    """
    rows = list(range(len(method.rows))) if rows is None else rows
    wanted = list(range(1, parts)) if wanted is None else wanted
    if not wanted:
        return [[] for _ in rows]
    if method.any_time:
        at_times = [method.predict(img0, img1, rows, k / parts) for k in wanted]
        return [list(frames) for frames in zip(*at_times, strict=True)]
    half, found = parts // 2, []
    for row, middle in zip(rows, method.predict(img0, img1, rows), strict=True):
        (left,) = between(method, img0, middle.frame, half, [row], [k for k in wanted if k < half])
        (right,) = between(method, middle.frame, img1, half, [row], [k - half for k in wanted if k > half])
        found.append([*left, *([middle] if half in wanted else []), *right])
    return found
