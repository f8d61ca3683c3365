"""The options of a conversion that determine its output."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from .read.source import Reader, Source
from .schedule.scenes import SCENE_THRESHOLD
from .schedule.timeline import Timeline


@dataclass(frozen=True)
class Options:
    """The options that determine the frames of an output, together with the source and the weights.

    multiplier, fps, slow: see `Timeline`; default: twice as many frames.
    depth: make frames at multiples of 1/2^depth between two; default: see `Timeline.halvings`.
    input_fps: rate of images.
    start, end: use only the frames from `start` on and before `end`, in seconds.
    seconds: use only this much of the input, instead of an end.
    loop: make the frames between the last and the first one, too.
    deinterlace: first make whole frames of interlaced ones.
    fields: first make a whole frame of each field.
    alpha: interpolate the alpha channel, too, if the input has one.
    scene_threshold, drop_duplicates: see `schedule/scenes.py`.
    ratio, budget, tile, ensemble: see `Network`.
    compare: put the source beside the output.
    codec, crf, preset, encoder, encoder_options: see `choose_format`.
    """

    multiplier: Fraction | int | None = None
    fps: Fraction | int | None = None
    slow: Fraction | int = 1
    depth: int | None = None
    input_fps: Fraction | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    seconds: Fraction | None = None
    loop: bool = False
    deinterlace: bool = False
    fields: bool = False
    alpha: bool = False
    scene_threshold: float = SCENE_THRESHOLD
    drop_duplicates: bool = False
    ratio: float | None = None
    budget: float | None = None
    tile: int | None = None
    ensemble: bool = False
    compare: bool = False
    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    encoder: str | None = None
    encoder_options: Sequence[str] | None = None

    def timeline(self) -> Timeline:
        """Return the times of the output's frames."""
        return Timeline(
            multiplier=self.multiplier, fps=self.fps, slow=self.slow, from_zero=self.start is not None or self.loop
        )

    def source(self, reader: Reader) -> Source:
        """Return the part of the frames of `reader` that is used."""
        end = self.end if self.seconds is None else (self.start or 0) + self.seconds
        return Source(reader, start=self.start, end=end, loops=self.loop)

    def reading(self) -> dict[str, bool]:
        """Return the options of `open_reader`."""
        return {"is_interlaced": self.deinterlace, "by_field": self.fields, "keeps_alpha": self.alpha}


DEFAULTS = Options()
ENCODING = ("codec", "crf", "preset", "encoder", "encoder_options")  # options of `choose_format`
