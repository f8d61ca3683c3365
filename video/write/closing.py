"""Decide what is left out of an output: streams with which it cannot be closed, and packets that its muxer drops."""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from av.container import OutputContainer

from ..read.files import open_media
from ..read.reader import VideoReader
from .streams import LONGER, Carrier

CARRIED = {"audio": "sound", "subtitle": "subtitles"}  # kinds of streams that may be left out


class Carried(NamedTuple):
    """The streams that are carried into an output, see `Carrier`.

    cut: the part of them that is left out.
    """

    source: VideoReader
    end: Fraction | None
    stretch: Fraction
    cut: "Cut"
    is_said: bool

    def open(self, container: OutputContainer) -> Carrier:
        """Return the `Carrier` of these streams."""
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
    """The part that is left out, because the output could not be closed with it.

    without: kinds of streams.
    until: seconds from which on nothing is carried.
    """

    without: tuple[str, ...] = ()
    until: Fraction | None = None

    def describe(self, kinds: set[str], reason: str) -> str:
        """Return what is lost and why.

        Args:
            kinds: kinds of the streams that were carried.
            reason: the library's.
        """
        names = [name for kind, name in CARRIED.items() if kind in kinds and kind in (self.without or CARRIED)]
        after = "" if self.until is None else f" from {float(self.until):.2f} s on"
        return f"{' and '.join(names)}{after} left out, as the output could not be closed with them ({reason})"


class Written(NamedTuple):
    """The extent of one stream that was written; times are in seconds.

    kind: its type.
    first, last: when its first and its last packet begin.
    end: when its last packet ends.
    """

    kind: str
    first: Fraction
    last: Fraction
    end: Fraction


def cut_more(cut: Cut, written: dict[int, Written]) -> Cut | None:
    """Return what to leave out next; None if there is no more.

    The order is: packets that wait for the end of another stream, subtitles, everything.
    """
    kinds = {stream.kind for stream in written.values()}
    if not kinds & CARRIED.keys() or cut.without == tuple(CARRIED):
        return None
    reached = [stream.last for stream in written.values() if stream.kind != "subtitle"]
    if cut == Cut() and len(reached) > 1:
        return Cut(until=min(reached))
    if not cut.without and CARRIED.keys() <= kinds:
        return Cut(("subtitle",))
    return Cut(tuple(CARRIED))


def missing(output: Path, written: dict[int, Written]) -> str | None:
    """Return in words which carried streams a finished output does not have, by its head; None if it has all.

    The mp4 muxer drops packets that it cannot describe, as those of a damaged E-AC-3 stream, and reports no error.

    Args:
        written: by stream, what the muxer was given.
    """
    with open_media(output) as container:
        for kind, name in CARRIED.items():
            given = [stream for stream in written.values() if stream.kind == kind]
            there = [stream for stream in container.streams if stream.type == kind]
            if len(there) < len(given):
                count = f" ({len(given) - len(there)} of {len(given)} streams)" if len(given) > 1 else ""
                return f"{name}{count} left out: {output.suffix} takes none of the packets, which are damaged"
            for stream, found in zip(given, there, strict=False):
                if kind == "audio" and found.duration is not None and found.start_time is not None:
                    first = found.start_time * found.time_base
                    lost = max(
                        first - max(stream.first, Fraction(0)), stream.end - first - found.duration * found.time_base
                    )
                    if lost > LONGER:
                        return f"{float(lost):.2f} s of {name} left out: {output.suffix} does not take damaged packets"
    return None
