"""Describe what is wrong with a file in one line: damage that was met while reading, and parts that are missing.

Missing parts are found by comparing a file with its header.
"""

from collections import Counter
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from .probe import MICROSECOND

AROUND = Fraction(1)  # seconds around a joint of two recordings in which marked packets do not count
DOUBTFUL = 2  # number of packets after a marked one that decide if it counts; a file may end with the first of them
NAMED = 3  # most holes that are described one by one; more are counted
INDEXED = "mov"  # containers of this family (mp4, mov, m4v) list every packet in advance
COUNTED = "avi"  # a container that gives its number of frames, even if the index at its end is cut off
TIMED = {"matroska", "avi", "flv", "asf", "ogg", "mxf"}  # containers that give a duration in their header
ROUNDING = Fraction(1, 5)  # seconds by which a declared duration may be too long
HEAD = 4096  # bytes in which a file's size is declared
SLACK = 64  # bytes by which it may be declared too long
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
PIPED = "yuv4mpegpipe"
BLOCK_HEAD = 4  # bytes between a packet's place and its content in Matroska
# IDs of blocks, of the other elements in their groups, of clusters and their times, and of what may follow them.
AFTER_BLOCK = tuple(map(bytes.fromhex, ("a3", "a0", "a1", "9b", "fb", "75a2", "1f43b675", "e7", "a7", "ab", "ec")))
AFTER_BLOCK += (bytes.fromhex("1c53bb6b"), bytes.fromhex("1254c367"))
EBML, SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")


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
        self.forget()

    def forget(self) -> None:
        """Forget everything, as the file is read from the beginning again."""
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


def missing_bytes(path: Path) -> int:
    """Return the number of bytes that a file lacks according to its header; 0 if the header gives no size."""
    with path.open("rb") as file:
        return _bytes_behind(file.read(HEAD), path.stat().st_size)


def missing_in_file(path: Path, kinds: set[str], *, reached: int) -> str:
    """Describe the missing part of a file by its size; "" if nothing is missing.

    Args:
        path: the file.
        kinds: FFmpeg's names of the container.
        reached: number of bytes until the end of the last packet.
    """
    return in_words(missing_bytes(path)) or _missing_frame(kinds, path.stat().st_size - reached)


def missing_in_pipe(kinds: set[str], *, head: bytes, tail: bytes, count: int, reached: int) -> str:
    """Describe the missing part of a file that came through a pipe; "" if nothing is missing.

    Args:
        kinds, reached: as in `missing_in_file`.
        head, tail: its first and last bytes.
        count: number of bytes that came.
    """
    if missing := _bytes_behind(head, count):
        return in_words(missing)
    rest = count - reached
    is_streamed = head.startswith(EBML) and not _matroska(head)
    if is_streamed and (rest > len(tail) or _is_cut(tail[len(tail) - rest + BLOCK_HEAD :])):
        return "its last block is not complete"
    return _missing_frame(kinds, rest)


def _missing_frame(kinds: set[str], rest: int) -> str:
    """Describe the last frame of y4m if `rest` bytes follow the last whole one; "" for other containers."""
    return f"of its last frame, only the first {rest} bytes are there" if PIPED in kinds and rest > 0 else ""


def _is_cut(content: bytes) -> bool:
    """Return True if the last of Matroska's elements is cut off. `content` begins with an element."""
    place = 0
    while place < len(content):
        length = 9 - content[place].bit_length()
        name = content[place : place + length]
        if name not in AFTER_BLOCK and not any(known.startswith(name) for known in AFTER_BLOCK):
            return False  # this element is unknown, so the rest cannot be checked
        size, place = _number(content, place + length)
        place += size
    return place > len(content)


def _bytes_behind(head: bytes, size: int) -> int:
    """Return the number of bytes that a file of `size` bytes lacks according to its header; 0 if none is given."""
    declared = next((found for read in (_riff, _asf, _matroska) if (found := read(head))), 0)
    missing = declared - size
    return missing if missing > SLACK else 0


def in_words(missing: int) -> str:
    """Describe how many bytes of a file are missing; "" if none is."""
    return f"{missing} bytes of it are missing" if missing else ""


def missing_end(
    container: InputContainer, video: VideoStream, *, packets: int, reached: Fraction, picture: Fraction
) -> str:
    """Describe the missing part after the last packet; "" if nothing is missing.

    Args:
        container, video: the open file, and the stream of its picture.
        packets: number of packets of the picture.
        reached: end of the last packet of all streams, in seconds.
        picture: end of the last packet of the picture, in seconds.
    """
    kinds = set(container.format.name.split(","))
    if INDEXED in kinds and packets < len(video.index_entries):
        return f"it holds {packets} of {len(video.index_entries)} packets"
    indexed = sum(entry.size > 0 for entry in video.index_entries) if COUNTED in kinds else 0
    if packets < indexed:
        return f"it holds {packets} of {indexed} packets"
    shown = round(picture * video.guessed_rate) if COUNTED in kinds and video.guessed_rate else 0
    if shown and shown + 1 < video.frames:
        return f"it holds {shown} of {video.frames} frames"
    duration = Fraction(container.duration or 0) * MICROSECOND
    if kinds & TIMED and reached + ROUNDING < duration:
        return f"it ends at {float(reached):.1f} of {float(duration):.1f} seconds"
    return ""


def _riff(head: bytes) -> int:
    size = int.from_bytes(head[4:8], "little")
    return 8 + size if head[:4] == b"RIFF" and 0 < size < 2**32 - 1 else 0


def _asf(head: bytes) -> int:
    place = head.find(ASF_PROPERTIES) if head.startswith(ASF_HEADER) else -1
    is_live = place >= 0 and head[place + 88] & 1
    return 0 if place < 0 or is_live else int.from_bytes(head[place + 40 : place + 48], "little")


def _matroska(head: bytes) -> int:
    if not head.startswith(EBML):
        return 0
    size, begin = _number(head, 4)
    place = begin + size
    if head[place : place + 4] != SEGMENT:
        return 0
    size, begin = _number(head, place + 4)
    return begin + size if size else 0


def _number(head: bytes, place: int) -> tuple[int, int]:
    """Read an EBML number of one to eight bytes. Return it (0 for "unknown") and the place after it."""
    first = head[place] if place < len(head) else 0
    length = 9 - first.bit_length()
    if length > 8:
        return 0, place
    value = int.from_bytes(head[place : place + length], "big") & ((1 << 7 * length) - 1)
    return (0 if value == (1 << 7 * length) - 1 else value), place + length
