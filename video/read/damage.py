"""Collect the damage of a file while it is read, and describe it in one line at the end."""

from collections import Counter
from fractions import Fraction

from av.packet import Packet

AROUND = Fraction(1)  # seconds around a joint of two recordings in which marked packets do not count
DOUBTFUL = 2  # number of packets after a marked one that decide if it counts; a file may end with the first of them
NAMED = 3  # most holes that are described one by one; more are counted


class DamagedVideo(ValueError):
    """The error for a video that ends too early or is damaged. It is raised after the last frame.

    count: number of frames read.
    time: time of the last frame in seconds; None if there is none.
    breaks_off: True if the picture does not continue to the end of the file.
    end: time in seconds until which there were pictures that could not be decoded; None if unknown.
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
        reason: first damage of the picture; "" if there is none.
        missing: description of the missing part of the file; "" if nothing is missing.
        after: number of frames before the damage.
        breaks_off: True if the picture does not continue to the end.
        lost_until: end of the last lost picture if no good one follows, else None.
        joints: times at which another recording begins. Whole packets near them may be marked as corrupt.
    """

    def __init__(self) -> None:
        self.reason, self.missing, self.after, self.breaks_off = "", "", 0, False
        self.lost_until: Fraction | None = None
        self.joints: list[Fraction] = []
        self._lost = 0
        self._holes: list[tuple[Fraction, Fraction]] = []
        self._marked: list[tuple[str, Fraction]] = []
        self._doubtful: tuple[str, Fraction] | None = None  # a packet of the picture that is marked as corrupt
        self._since = 0  # number of packets of the picture after it
        self._disturbed: Fraction | None = None

    def note(self, reason: str, *, after: int) -> None:
        """Note damage of the picture. Only the first reason is kept."""
        if not self.reason:
            self.reason, self.after = reason, after

    def end_early(self, missing: str, *, after: int, breaks_off: bool) -> None:
        """Note the missing part of a file ("" for none). `breaks_off` is True if it is the file's end."""
        self.missing = missing
        if missing:
            self.breaks_off = breaks_off
            self.after = self.after if self.reason else after

    def lose(self, until: Fraction | None) -> None:
        """Note one lost picture. `until` is the time at which it would have ended."""
        self._lost += 1
        if until is not None:
            self.lost_until = max(until, self.lost_until or until)

    def fill(self, start: Fraction, end: Fraction) -> None:
        """Note a hole between two pictures: the frame at `start` is held until `end`."""
        self._holes.append((start, end))
        self.lost_until = None

    def disturb(self, time: Fraction) -> None:
        """Note that pictures from `time` on may refer to lost ones, because no independent picture follows soon."""
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
        """Describe all damage; "" if there is none.

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
