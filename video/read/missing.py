"""Find missing parts of a file by comparing it with its header."""

from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from .probe import MICROSECOND

UNREAD = 512  # bytes between two packets; headers there are shorter
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


def missing_bytes(path: Path) -> int:
    """Return the number of bytes that a file lacks according to its header; 0 if the header gives no size."""
    with path.open("rb") as file:
        return _bytes_behind(file.read(HEAD), path.stat().st_size)


class Bytes:
    """A watch over the bytes between packets, for a format that has only small headers there."""

    def __init__(self, *, missing: int):
        """Start at the beginning. `missing` is the number of bytes that the file lacks, see `missing_bytes`."""
        self._are_missing = missing > 0
        self._end = 0  # end of the packet before
        self._holes: list[Fraction] = []  # times of packets after bytes that were not read
        self._is_steady = True

    def follow(self, packet: Packet) -> None:
        """Note the next packet of any stream."""
        if packet.pos is None or not packet.size:
            return
        time = packet_time(packet)
        if self._end and packet.pos - self._end > UNREAD and time is not None:
            self._holes.append(time)
        self._end = max(self._end, packet.pos + packet.size)

    def are_missing(self, last: Fraction | None, time: Fraction | None, period: Fraction) -> bool:
        """Return True if pictures are missing between those at `last` and `time`, in seconds.

        That is so if bytes between them were not read, or if the file is too short and all pictures so far were one
        period apart.
        """
        if last is None or time is None:
            return False
        is_gap = time - last > 3 * period / 2
        is_hole = any(last < hole <= time for hole in self._holes)
        self._holes = [hole for hole in self._holes if hole > time]
        is_known = is_hole or (self._are_missing and self._is_steady)
        self._is_steady &= not is_gap
        return is_gap and is_known


def packet_time(packet: Packet) -> Fraction | None:
    """Return the time in seconds at which a packet is shown, or else decoded; None if it has neither."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def missing_size(path: Path) -> str:
    """Describe how many bytes of a file are missing; "" if none is."""
    return _in_words(missing_bytes(path))


def missing_frame(kinds: set[str], *, count: int, reached: int) -> str:
    """Describe the missing part of the last frame of y4m; "" if nothing is missing, and for other containers.

    Args:
        kinds: FFmpeg's names of the container.
        count: number of bytes of the file.
        reached: number of bytes until the end of the last whole frame.
    """
    rest = count - reached
    return f"of its last frame, only the first {rest} bytes are there" if PIPED in kinds and rest > 0 else ""


def missing_in_pipe(kinds: set[str], *, head: bytes, tail: bytes, count: int, reached: int) -> str:
    """Describe the missing part of a file that came through a pipe; "" if nothing is missing.

    Args:
        kinds, count: as in `missing_frame`.
        head, tail: its first and last bytes.
        reached: number of bytes until the end of the last packet.
    """
    if missing := _bytes_behind(head, count):
        return _in_words(missing)
    rest = count - reached
    is_streamed = head.startswith(EBML) and not _matroska(head)
    if is_streamed and (rest > len(tail) or _is_cut(tail[len(tail) - rest + BLOCK_HEAD :])):
        return "its last block is not complete"
    return missing_frame(kinds, count=count, reached=reached)


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


def _in_words(missing: int) -> str:
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
