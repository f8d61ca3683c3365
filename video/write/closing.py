"""Choose what to leave out of an output that cannot be closed, and find packets that its muxer dropped.

The carried streams are the source's sound and subtitles, which are copied into the output. If the muxer cannot close
the file, it is written again with a part of them left out: a `Cut`.
"""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from av.container import OutputContainer

from ..read.files import open_media
from ..read.reader import VideoReader
from .streams import LONGER, Carrier

CARRIED = {"audio": "sound", "subtitle": "subtitles"}  # kinds of streams that may be left out


class Carried(NamedTuple):
    """The streams that are carried into an output. Its fields are arguments of `Carrier`.

    source: reader of the source.
    end: seconds after which nothing is copied; None: there is no limit.
    stretch: factor by which the output lasts longer than the source.
    cut: the part that is left out.
    is_said: True if the user already knows what is left out.
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
    """The part of carried streams that is left out, because the output could not be closed with it.

    without: kinds of streams that are left out.
    until: time in seconds after which nothing is carried; None: there is no limit.
    """

    without: tuple[str, ...] = ()
    until: Fraction | None = None

    def describe(self, kinds: set[str], reason: str) -> str:
        """Describe the part that is left out, and the reason.

        Args:
            kinds: kinds of the streams that were carried.
            reason: error message of the muxer.
        """
        names = [name for kind, name in CARRIED.items() if kind in kinds and kind in (self.without or CARRIED)]
        after = "" if self.until is None else f" from {float(self.until):.2f} s on"
        return f"{' and '.join(names)}{after} left out, as the output could not be closed with them ({reason})"


class Written(NamedTuple):
    """The extent of one stream that was written. Times are in seconds.

    kind: type of the stream.
    first: time at which its first packet begins.
    last: time at which its last packet begins.
    end: time at which its last packet ends.
    """

    kind: str
    first: Fraction
    last: Fraction
    end: Fraction


def cut_more(cut: Cut, written: dict[int, Written]) -> Cut | None:
    """Return the next larger part to leave out; None if everything is left out already.

    First, packets after the end of the shortest stream are left out, then subtitles, then everything.
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
    """Describe the carried streams that a finished output lacks according to its head; None if it has all.

    The mp4 muxer drops packets that it cannot describe, such as those of a damaged E-AC-3 stream, without an error.

    Args:
        output: the finished file.
        written: by stream, the extent that the muxer was given.
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
