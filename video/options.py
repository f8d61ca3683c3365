"""All that can be chosen about an output."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .content import SCENE_THRESHOLD


@dataclass(frozen=True)
class Options:
    """All that decides about the frames of an output, beside the source and the weights.

    multiplier, fps, slow: see `Timeline`; default: twice as many frames. depth: frames are made at multiples of
        1/2^depth between two; default: see `Timeline.halvings`.
    alpha: interpolate the alpha channel, where the input has one, too.
    input_fps: rate of images. seconds: only so much of the input, from its beginning. deinterlace: make whole frames of
        interlaced ones first; fields: one of each field.
    scene_threshold, drop_duplicates: see `video.content`.
    ratio, budget, tile: see `Network`. compare: the source beside the output.
    codec, crf, preset, encoder, encoder_options: see `choose_format`.
    """

    multiplier: Fraction | int | None = None
    fps: Fraction | int | None = None
    slow: Fraction | int = 1
    depth: int | None = None
    input_fps: Fraction | None = None
    seconds: Fraction | None = None
    deinterlace: bool = False
    fields: bool = False
    alpha: bool = False
    scene_threshold: float = SCENE_THRESHOLD
    drop_duplicates: bool = False
    ratio: float | None = None
    budget: float | None = None
    tile: int | None = None
    compare: bool = False
    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    encoder: str | None = None
    encoder_options: Sequence[str] | None = None

    def reading(self) -> dict[str, bool]:
        """Return what `open_reader` is told."""
        return {"is_interlaced": self.deinterlace, "by_field": self.fields, "keeps_alpha": self.alpha}


DEFAULTS = Options()
