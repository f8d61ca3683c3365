"""Decode packets to pictures, and continue after damage.

A picture that refers to a lost one is lost, too. Therefore pictures are left out after damage until a key picture
comes, which refers to no other.
"""

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .damage import Damage, missing_bytes
from .times import Continuity, packet_order, packet_time

logger = logging.getLogger("waveletvfi")

# Containers of recordings, which may begin in the middle of a group of pictures.
RECORDED = {"mpegts", "mpeg", "mpegvideo", "h264", "hevc", "vvc"}
SURE = {"h264"}  # decoders that return no picture before the first key picture
PATIENCE = Fraction(2)  # most seconds of pictures that are left out while waiting for a key picture
HEAD = Fraction(10)  # the same limit at the beginning of a recording
GAPLESS = "matroska"  # in this container, there are few bytes between packets
UNREAD = 512  # bytes between two packets; headers there are shorter
REMEMBERED = 64  # number of packets; no decoder holds back as many


class Decoded(NamedTuple):
    """A decoded picture.

    picture: the picture.
    time: time in seconds; None if the file does not give it.
    lasts: seconds for which it is shown; None if the file does not give them.
    is_after_gap: True if pictures are missing before it.
    """

    picture: VideoFrame
    time: Fraction | None
    lasts: Fraction | None
    is_after_gap: bool


class Pictures:
    """The pictures of a container, in the order in which they are shown."""

    def __init__(
        self,
        container: InputContainer,
        video: VideoStream,
        rate: Fraction,
        damage: Damage,
        path: Path,
        decoder: VideoCodecContext,
        *,
        is_pipe: bool = False,
        is_sought: bool = False,
    ):
        """Start at the container's place.

        Args:
            container, video: the open file, and the stream of its picture.
            rate: nominal frames per second of the picture.
            damage: collects the damage.
            path: path of the file for messages.
            decoder: decoder of the picture, the stream's own or another one.
            is_pipe: True if there is no file at `path`.
            is_sought: True if the place is a key picture in the middle. Pictures that are shown before it may refer to
                earlier ones.
        """
        self.continuity = Continuity(container, video, rate)
        self.packets = 0  # number of packets of the picture so far
        self.reached = 0  # number of bytes of the file until the end of the last packet
        self._decoder = decoder
        self._says_keys = decoder is video.codec_context  # other decoders do not mark key pictures
        self._key: int | None = None  # time of the last packet with a key picture
        self._video, self._period, self._damage, self._path = video, 1 / rate, damage, path
        kinds = set(container.format.name.split(","))
        self._is_recorded = bool(RECORDED & kinds)
        self._may_join = self._is_recorded or is_sought
        self._bytes = Bytes(missing=0 if is_pipe else missing_bytes(path)) if GAPLESS in kinds else None
        self._order = packet_order(container, video)
        damage.joints = self.continuity.joints
        self.count = 0  # number of pictures yielded
        self._head: list[Fraction] = []  # times of the packets before the first picture is yielded
        self._last: Decoded | None = None
        self._joints = 0  # number of joints before the last picture
        self._next = 0  # number of the packet that should come
        self._sent: dict[int, None] = {}  # times of packets before the damage, whose pictures may still come
        self._has_key, self._key_time = False, None  # was there a key picture; the time of the first one
        self._is_late = False  # pictures before it are missing, as in a recording that begins in the middle
        self._is_waiting, self._since, self._has_lost = False, None, False
        self._lost_last: Fraction | None = None  # time of the last packet that could not be decoded
        self._reason = ""

    def __iter__(self) -> Iterator[Decoded]:
        for packet in self.continuity:
            self._damage.mark(packet, is_picture=packet.stream.index == self._video.index)
            if packet.pos is not None:
                self.reached = max(self.reached, packet.pos + packet.size)
            if self._bytes is not None:
                self._bytes.follow(packet)
            if packet.stream.index != self._video.index:
                continue
            is_flush = packet.pts is None and packet.dts is None and not packet.size
            if self.packets == 0 and self._is_recorded and not packet.is_keyframe and self._name not in SURE:
                self._wait(packet_time(packet))
            self._note_key(packet)
            self.packets += not is_flush
            if self.count == 0 and self._is_recorded and packet_time(packet) is not None:
                self._head.append(packet_time(packet))
            if self._order and packet.pos is not None:
                self._check_order(packet)
            yield from self._decode(packet) if packet.size or is_flush else self._repeat(packet)
        if joints := self.continuity.joints:
            logger.warning("%s: its clock jumps (%d times); picture and sound go on together", self._path, len(joints))
        if self.count == 0 and self.packets:
            self._damage.note(self._reason or "no picture in it can be decoded on its own", after=0)

    @property
    def _name(self) -> str:
        return self._video.codec_context.name

    def _decode(self, packet: Packet) -> Iterator[Decoded]:
        try:
            pictures = self._decoder.decode(packet)
        except av.FFmpegError as error:
            self._lose(packet_time(packet), error.strerror)
            return
        if packet.is_keyframe:
            self._key = packet.pts
        if not self._is_waiting and packet.pts is not None:
            self._sent[packet.pts] = None
            if len(self._sent) > REMEMBERED:
                del self._sent[next(iter(self._sent))]
        for picture in pictures:
            time = None if picture.pts is None else picture.pts * picture.time_base
            if self._is_usable(picture, time):
                lasts = picture.duration * picture.time_base if picture.duration else None
                yield self._give(picture, time, lasts)

    def _check_order(self, packet: Packet) -> None:
        number = self._order.get(packet.pos, self._next)
        if number > self._next:
            self._lose(packet_time(packet), f"{number - self._next} packets are missing or cannot be read")
        self._next = number + 1

    def _repeat(self, packet: Packet) -> Iterator[Decoded]:
        """Repeat the picture before, which an empty packet asks for. It is known if pictures come in order."""
        if self._last is not None and not self._is_waiting and not self._video.codec_context.has_b_frames:
            lasts = packet.duration * packet.time_base if packet.duration else None
            yield self._give(self._last.picture, packet_time(packet), lasts)

    def _is_usable(self, picture: VideoFrame, time: Fraction | None) -> bool:
        """Return True if no picture that this one refers to is lost, as far as is known."""
        if picture.is_corrupt:
            self._lose(time, "the next one cannot be decoded completely")
            return False
        if not self._is_waiting or picture.pts in self._sent:
            return True
        patience = PATIENCE if self.count else HEAD
        is_long = time is not None and self._since is not None and time - self._since > patience
        is_sure = self.count == 0 and self._is_recorded and self._name in SURE
        is_key = picture.key_frame if self._says_keys else picture.pts is not None and picture.pts == self._key
        is_new = is_key and (time is None or self._lost_last is None or time > self._lost_last)
        if is_new or is_long or is_sure:
            if is_long and not is_key and self.count:
                self._damage.disturb(time)
            self._is_waiting = False
            self._sent.clear()
            return True
        self._miss(time)
        return False

    def _give(self, picture: VideoFrame, time: Fraction | None, lasts: Fraction | None) -> Decoded:
        if self.count == 0:
            self._say_where_it_begins(time)
        is_after_gap = False
        if (
            self._bytes is not None
            and self._last is not None
            and self._bytes.are_missing(self._last.time, time, self._period)
        ):
            self._damage.note("a part of the file is missing or cannot be read", after=self.count)
            self._has_lost = True
        if self._has_lost and not self._is_waiting:
            is_after_gap = self.count > 0
            if is_after_gap and time is not None and self._last.time is not None:
                self._damage.fill(self._last.time, time)
            self._has_lost = False
        joints = self.continuity.joints
        while time is not None and self._joints < len(joints) and joints[self._joints] <= time:
            self._joints += 1
            is_after_gap = True
        self._last = Decoded(picture, time, lasts, is_after_gap)
        self.count += 1
        return self._last

    def _say_where_it_begins(self, time: Fraction | None) -> None:
        left_out = 0 if time is None else sum(earlier < time for earlier in self._head)
        if left_out:
            logger.warning(
                "%s begins in the middle of a group of pictures; the first %d, which cannot be decoded, are left out",
                self._path, left_out,
            )  # fmt: skip

    def _lose(self, time: Fraction | None, reason: str) -> None:
        """Note that a picture cannot be decoded. Pictures that refer to it would be wrong."""
        self._reason = self._reason or reason
        is_joining = self._is_joining(time)
        if not is_joining:
            self._damage.note(reason, after=self.count)
        if self._is_before_key(time):  # no later picture refers to one that is shown before the first key picture
            if not is_joining:
                self._damage.lose(None)
            return
        if is_joining and self._has_key:  # the group lacks its beginning, so it cannot be decoded either
            self._has_key, self._key_time = False, None
            self._sent.clear()
        if time is not None:
            self._lost_last = time if self._lost_last is None else max(time, self._lost_last)
        self._miss(time)
        self._wait(time)

    def _miss(self, time: Fraction | None) -> None:
        self._has_lost = True
        if not self._is_joining(time):
            self._damage.lose(None if time is None else time + self._period)

    def _is_joining(self, time: Fraction | None) -> bool:
        """Return True if a picture at `time` may refer to one before the place where reading began."""
        is_late = self._is_late and self.count == 0
        return self._may_join and (not self._has_key or self._is_before_key(time) or is_late)

    def _is_before_key(self, time: Fraction | None) -> bool:
        return self._key_time is not None and time is not None and time < self._key_time

    def _note_key(self, packet: Packet) -> None:
        """Note the first key picture. Before it, pictures may be missing."""
        if packet.is_keyframe and not self._has_key:
            self._has_key, self._key_time = True, packet_time(packet)
        if self.count == 0 and (not self._has_key or self._is_before_key(packet_time(packet))):
            self._is_late = True

    def _wait(self, time: Fraction | None) -> None:
        if not self._is_waiting:
            self._is_waiting, self._since = True, time


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
