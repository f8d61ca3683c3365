"""What is carried into an output, and what of it is left out if the output cannot be closed with it."""

from fractions import Fraction
from typing import NamedTuple

from av.container import OutputContainer

from .carry import Carrier
from .reader import VideoReader

CARRIED = {"audio": "sound", "subtitle": "subtitles"}  # kinds of streams that may be left out


class Carried(NamedTuple):
    """What is carried into an output, see `Carrier`. cut: what of it is left out."""

    source: VideoReader
    end: Fraction | None
    stretch: Fraction
    cut: "Cut"
    is_said: bool

    def open(self, container: OutputContainer) -> Carrier:
        """Return the one that carries it."""
        ends = [end for end in (self.end, self.cut.until) if end is not None]
        return Carrier(
            self.source,
            container,
            end=min(ends, default=None),
            stretch=self.stretch,
            without=self.cut.without,
            is_said=self.is_said,
        )


class Cut(NamedTuple):
    """What is left out, because the output could not be closed with it. without: kinds of streams. until: seconds."""

    without: tuple[str, ...] = ()
    until: Fraction | None = None

    def describe(self, kinds: set[str], reason: str) -> str:
        """Return what is lost and why. kinds: of streams that were carried. reason: the library's."""
        names = [name for kind, name in CARRIED.items() if kind in kinds and kind in (self.without or CARRIED)]
        after = "" if self.until is None else f" from {float(self.until):.2f} s on"
        return f"{' and '.join(names)}{after} left out, as the output could not be closed with them ({reason})"


def cut_more(cut: Cut, kinds: set[str], reached: dict[int, Fraction]) -> Cut | None:
    """Return what to leave out next: packets that wait for the end of another stream, subtitles, all; None: no more.

    Args:
        kinds: of streams that were carried. reached: by stream of picture and sound, when its last packet began.
    """
    if not kinds & CARRIED.keys() or cut.without == tuple(CARRIED):
        return None
    if cut == Cut() and len(reached) > 1:
        return Cut(until=min(reached.values()))
    if not cut.without and CARRIED.keys() <= kinds:
        return Cut(("subtitle",))
    return Cut(tuple(CARRIED))
