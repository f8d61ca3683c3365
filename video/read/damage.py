"""Collect what is wrong with a file while it is read, and say it in one line at its end."""

from collections import Counter
from fractions import Fraction

from av.packet import Packet

AROUND = Fraction(1)  # seconds around a joint of two recordings, where packets out of order are marked
DOUBTFUL = 2  # packets after a marked one that decide if it counts: a file may end with the first of them
NAMED = 3  # holes: more are counted


class DamagedVideo(ValueError):
    """A video that ends too early or is damaged; raised after its last frame.

    count: number of frames read.
    time: time of the last one, or None.
    breaks_off: the picture does not go on to the end of the file.
    end: seconds until which there were pictures, though they could not be decoded; None if unknown.
    """

    def __init__(
        self,
        message: str,
        *,
        count: int,
        time: Fraction | None,
        breaks_off: bool = True,
        end: Fraction | None = None,
    ):
        super().__init__(message)
        self.count, self.time, self.breaks_off, self.end = count, time, breaks_off, end


class Damage:
    """The notes on one file. Times are in seconds.

    Attributes:
        reason: the first thing that is wrong with the picture; "" for nothing.
        missing: the part of the file that is not there.
        after: number of frames before either.
        breaks_off: the picture does not go on to the end.
        lost_until: end of the last lost picture, if no good one follows; else None.
        joints: times at which another recording begins; packets near them are marked as corrupt though they are whole.
    """

    def __init__(self) -> None:
        self.reason, self.missing, self.after, self.breaks_off = "", "", 0, False
        self.lost_until: Fraction | None = None
        self.joints: list[Fraction] = []
        self._lost = 0
        self._holes: list[tuple[Fraction, Fraction]] = []
        self._marked: list[tuple[str, Fraction]] = []
        self._doubtful: tuple[str, Fraction] | None = None  # a packet of the picture that is marked
        self._since = 0  # packets of the picture
        self._disturbed: Fraction | None = None

    def note(self, reason: str, *, after: int) -> None:
        """Note what is wrong with the picture; only the first reason is kept."""
        if not self.reason:
            self.reason, self.after = reason, after

    def end_early(self, missing: str, *, after: int, breaks_off: bool) -> None:
        """Note what is missing of the file ("" for nothing), and if it is the file's end."""
        self.missing = missing
        if missing:
            self.breaks_off = breaks_off
            self.after = self.after if self.reason else after

    def lose(self, until: Fraction | None) -> None:
        """Note one lost picture, and when it would have ended."""
        self._lost += 1
        if until is not None:
            self.lost_until = max(until, self.lost_until or until)

    def fill(self, start: Fraction, end: Fraction) -> None:
        """Note a hole that has ended: the frame at `start` is held until `end`."""
        self._holes.append((start, end))
        self.lost_until = None

    def disturb(self, time: Fraction) -> None:
        """Note that pictures from `time` on may refer to lost ones, as none that refers to no other comes soon."""
        self._disturbed = time if self._disturbed is None else self._disturbed

    def mark(self, packet: Packet, *, is_picture: bool) -> None:
        """Note a packet that the demuxer marks as corrupt.

        Where two files meet, one of the last packets of the picture before is marked, too, though it is whole. It
        counts only if some of the next packets refer to others.
        """
        if is_picture and packet.size and self._doubtful is not None:
            self._since += 1
            if self._since == DOUBTFUL and not packet.is_keyframe:
                self._marked.append(self._doubtful)
            if self._since == DOUBTFUL or packet.is_keyframe:
                self._doubtful = None
        if packet.is_corrupt and packet.size:
            ticks = packet.pts if packet.dts is None else packet.dts
            marked = packet.stream.type, (ticks or 0) * packet.time_base
            if is_picture and self._doubtful is None:
                self._doubtful, self._since = marked, 0
            else:
                self._marked.append(marked)

    def describe(self, start: Fraction) -> str:
        """Return all that is wrong in words; "" for nothing.

        Args:
            start: the file's first moment, from which times are counted.
        """
        last = [] if self._doubtful is None else [self._doubtful]
        marked = [
            (kind, time)
            for kind, time in self._marked + last
            if all(abs(time - joint) > AROUND for joint in self.joints)
        ]
        parts = [text for text in (self.reason, self.missing) if text]
        if self._lost or self._holes:
            holes = [f"{float(a - start):.2f} to {float(b - start):.2f} s" for a, b in self._holes[:NAMED]]
            if len(self._holes) > NAMED:
                holes.append(f"and {len(self._holes) - NAMED} times more")
            held = f", the one before is held: {', '.join(holes)}" if holes else ""
            lost = f"{self._lost} picture{'' if self._lost == 1 else 's'}" if self._lost else "some pictures"
            parts.append(f"{lost} lost{held}")
        if self._disturbed is not None:
            parts.append(f"pictures from {float(self._disturbed - start):.2f} s on may be disturbed")
        for kind, count in Counter(kind for kind, _ in marked).items():
            first = min(time for other, time in marked if other == kind)
            parts.append(f"packets of {kind} marked corrupt: {count}, the first at {float(first - start):.2f} s")
        return "; ".join(parts)
