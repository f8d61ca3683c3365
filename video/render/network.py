"""Make the frame between two: by the network where something moves, by copies or a mix elsewhere.

Use tiles to save memory.
"""

import weakref
from hashlib import sha256
from types import EllipsisType
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from models import WaveletVFI
from models.macs import dense_gmacs
from models.waveletvfi import Known

from .pairs import SMALLEST, Fade, find_fade, find_inside, in_tiles, is_still

CROP = 64  # crops grow to multiples of this many pixels, so that few sizes occur
Part = tuple[slice, slice]  # rows, columns
Inside = tuple[EllipsisType, slice, slice]  # all frames and channels, rows, columns


class Model(Protocol):
    """The part of a network that is needed: it makes the middle frame of two (1, 3, H, W) in [0, 1].

    Some attributes are optional:

    - `config.any_time`: if it is true, frames at other times are made, too, with the argument t.
    - `interpolate_details`: as in `models.WaveletVFI`; it also reports the cost of a frame.
    - `fingerprint`: a string that identifies the weights of a model without `state_dict` when a conversion is resumed.
    """

    def interpolate(self, img0: Tensor, img1: Tensor, **options: float | None) -> Tensor:
        """Return the middle frame. The options are `ratio` or `budget`, if one is given, and t."""


class Call(NamedTuple):
    """The cost of one middle frame. A field is None if the model does not report it.

    cost: multiply-accumulates of the sparse convolutions, as a fraction of the dense ones.
    ratio: threshold ratio.
    executed: multiply-accumulates that were computed, in units of 10^9.
    dense: multiply-accumulates of the same frame if everything were computed, in units of 10^9.
    calls: number of calls of the network for this frame; 0 if nothing moves.
    """

    cost: float | None = None
    ratio: float | None = None
    executed: float | None = None
    dense: float | None = None
    calls: int = 1


def together(call: Call, other: Call) -> Call:
    """Return the cost of two calls as that of one."""
    costs = [cost for cost in (call.cost, other.cost) if cost is not None]
    sums = [None if a is None or b is None else a + b for a, b in zip(call[2:], other[2:], strict=True)]
    return Call(
        sum(costs) / len(costs) if costs else None, call.ratio if call.ratio is not None else other.ratio, *sums
    )


class Network:
    """A model with its options. It makes the frame between two, and reports its cost.

    Attributes:
        any_time: True if frames can be made at any time, not in the middle alone.
        device: device of the model.
        settings: all arguments except the model, to set up the same network in another process.
    """

    def __init__(
        self,
        model: Model,
        *,
        ratio: float | None = None,
        budget: float | None = None,
        device: torch.device | str = "cpu",
        tile: int | None = None,
    ):
        """Set up a network.

        Args:
            model: the network, in evaluation mode.
            ratio: threshold ratio. Default: the network chooses one for each pair.
            budget: largest cost, 1 being dense, instead of a ratio.
            device: device of `model`.
            tile: compute frames in overlapping squares with sides of this many pixels, see `render/pairs.py`.
        Raises:
            ValueError: the tiles are too small.
        """
        if tile is not None and tile < SMALLEST:
            raise ValueError(f"tiles need at least {SMALLEST} pixels, got {tile}")
        self.device = torch.device(device)
        self.settings = {"ratio": ratio, "budget": budget, "device": self.device, "tile": tile}
        self._model, self._tile = model, tile
        self.any_time = bool(getattr(getattr(model, "config", None), "any_time", False))
        self._options = {"ratio": ratio} if budget is None else {"budget": budget}
        self._dense_of: dict[tuple[int, int], float] = {}
        # For each frame, as long as it exists: the part of it that was computed, its context features, and MP-Net's
        # features of it and the next frame, as (next frame, features).
        self._features = WeakIdKeyDictionary()
        self._fades = WeakIdKeyDictionary()  # by first frame of a pair: the second one, what `_find_fade` returned

    def between(self, img0: Tensor, img1: Tensor, t: float = 0.5) -> tuple[Tensor, Call]:
        """Make the frame at time t between two, and return it with its cost.

        Equal frames are copied, and two in which nothing moves are mixed. If the brightness changes, the network gets
        both frames at one brightness (`render/pairs.py`). A border of one-coloured rows or columns that both frames
        share, such as a letterbox, is copied, too, and costs nothing.
        Features of a frame that belongs to several pairs are computed once, so do not change a frame in place.

        Args:
            img0, img1: (1, 3, H, W) in [0, 1].
            t: time of the frame, 0 < t < 1. Other times than 1/2 need `any_time`.
        Raises:
            ValueError: there is not enough memory.
        """
        height, width = img0.shape[-2:]
        if torch.equal(img0, img1):
            return img0, Call(cost=0.0, executed=0.0, dense=self._dense(height, width), calls=0)
        if is_still(img0, img1):
            return torch.lerp(img0, img1, t), Call(cost=0.0, executed=0.0, dense=self._dense(height, width), calls=0)
        found = self._find_fade(img0, img1)
        if found is None:
            return self._between(img0, img1, t)
        fade, inside, brightened = found
        imgt, call = self._between(*((brightened, img1) if fade.is_first else (img0, brightened)), t)
        imgt = imgt.clone()
        imgt[inside] = fade.darken(imgt[inside], t)
        return imgt, call

    def _find_fade(self, img0: Tensor, img1: Tensor) -> tuple[Fade, Inside, Tensor] | None:
        """Return the fade of a pair, the part inside its border, and its dark frame brightened; None without a fade.

        A pair always gets the same tensor, so that its features are kept.
        """
        other, found = self._fades.get(img0, (None, None))
        if other is None or other() is not img1:
            top, bottom, left, right = find_inside(img0, img1)
            inside, found = (..., slice(top, bottom), slice(left, right)), None
            fade = find_fade(img0[inside], img1[inside])
            if fade is not None:
                brightened = (img0 if fade.is_first else img1).clone()
                brightened[inside] = fade.brighten(brightened[inside])
                found = fade, inside, brightened
            self._fades[img0] = weakref.ref(img1), found
        return found

    def _between(self, img0: Tensor, img1: Tensor, t: float) -> tuple[Tensor, Call]:
        """Make the frame at time t of two that differ, without what their border shares."""
        height, width = img0.shape[-2:]
        top, bottom, left, right = box = find_inside(img0, img1)
        y0, x0 = top // CROP * CROP, left // CROP * CROP
        y1, x1 = min(-(-bottom // CROP) * CROP, height), min(-(-right // CROP) * CROP, width)
        made, call = self._run(img0, img1, (slice(y0, y1), slice(x0, x1)), t)
        call = call._replace(dense=self._dense(height, width))
        if box == (0, height, 0, width):
            return made, call
        imgt = img0.clone()
        imgt[..., top:bottom, left:right] = made[..., top - y0 : bottom - y0, left - x0 : right - x0]
        return imgt, call

    def fingerprint(self) -> str:
        """Return a text that identifies the frames that a network makes, by weights, device, method and passes."""
        model, digest = self._model, sha256()
        for name, value in model.state_dict().items() if hasattr(model, "state_dict") else ():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        parts = [getattr(model, name, "") for name in ("fingerprint", "sparse")]
        parts.append(str(getattr(getattr(model, "config", None), "passes", "")))
        return " ".join((type(model).__name__, digest.hexdigest()[:16], self.device.type, *parts)).strip()

    def _run(self, img0: Tensor, img1: Tensor, part: Part, t: float) -> tuple[Tensor, Call]:
        calls: list[Call] = []
        remembers = self._tile is None and isinstance(self._model, WaveletVFI)

        def run(crop0: Tensor, crop1: Tensor) -> Tensor:
            known = {"known": self._recall(img0, img1, part)} if remembers else {}
            made, call, found = self._measured(crop0, crop1, t, **known)
            if found is not None:
                self._features[img1] = part, found.img1, None
                self._features[img0] = part, found.img0, (weakref.ref(img1), found.pair) if self.any_time else None
            calls.append(call)
            return made

        crops = (image[..., part[0], part[1]] for image in (img0, img1))
        try:
            made = in_tiles(run, *crops, self._tile) if self._tile else run(*crops)
        except RuntimeError as error:  # torch.OutOfMemoryError is one; on CPUs, only the text shows it
            if "memory" not in str(error):
                raise
            height, width = (side.stop - side.start for side in part)
            tile = max(SMALLEST, (self._tile or max(height, width)) // 2)
            raise ValueError(f"not enough memory for frames of {width}x{height}; try --tile {tile}") from error
        if calls[0].cost is None:
            return made, calls[0]
        costs, ratios, executed, *_ = zip(*calls, strict=True)
        return made, Call(sum(costs) / len(costs), sum(ratios) / len(ratios), sum(executed))

    def _recall(self, img0: Tensor, img1: Tensor, part: Part) -> Known:
        """Return the features of this part of the frames that this pair or other pairs have computed."""
        empty = (None, None, None)
        (place0, features0, behind), (place1, features1, _) = (self._features.get(i, empty) for i in (img0, img1))
        pair = behind[1] if behind and place0 == part and behind[0]() is img1 else None
        return Known(features0 if place0 == part else None, features1 if place1 == part else None, pair)

    def _measured(self, img0: Tensor, img1: Tensor, t: float, **known: Known) -> tuple[Tensor, Call, Known | None]:
        options = self._options | ({"t": t} if self.any_time else {})
        if not tells_costs(self._model):
            return self._model.interpolate(img0, img1, **options), Call(), None
        output = self._model.interpolate_details(img0, img1, **options, **known)
        candidate = output.candidates[0]
        values = (candidate.cost, candidate.ratio, output.executed_gmacs)
        call = Call(*(value.mean().item() for value in values))
        return output.frame, call, output.known if known else None

    def _dense(self, height: int, width: int) -> float | None:
        """Return the operations of a frame if everything is computed, in units of 10^9; None if unknown."""
        if not isinstance(self._model, WaveletVFI):
            return None
        size = height, width
        if size not in self._dense_of:
            self._dense_of = {size: dense_gmacs(self._model, *size)}
        return self._dense_of[size]


def tells_costs(model: Model) -> bool:
    """Return True if a model reports the cost of its frames."""
    return hasattr(model, "interpolate_details")
