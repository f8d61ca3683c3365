"""Packets on one clock: where a file's clock jumps, picture, sound and subtitles go on together.

Recordings, and transport streams put behind one another, begin to count again in the middle. The file is then a row of
stretches, each with a clock of its own. All streams of a stretch are moved by one amount, so that they stay together:
the smallest that lets none of them overlap with the stretch before, and keeps the picture in its rhythm.
"""

import itertools
import math
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from .times import LONGEST, Delays, Indexed

BACK = Fraction(1, 10)  # seconds that the times of decoding may go back without being of another clock
FORWARD = 10  # seconds of a jump ahead, in containers whose clock may jump
AHEAD = 3  # seconds of a stream in which it has to jump after another one did
MOST = 2000  # packets that are looked at for that
FEW = 500  # packets among which the next one of a stream is looked for
STEADY = 1  # seconds that a stream goes on for, if it does not jump
NEAR = Fraction(1, 2)  # seconds behind the end of a stretch, in which a clock that had been left is taken up again


class Place(NamedTuple):
    """How far a stream has come, in seconds of the repaired clock: decoding of its last packet begins and ends, and the
    last of its content ends."""

    begin: Fraction
    end: Fraction
    shown: Fraction


class Continuity:
    """The packets of a container with repaired times, in the order of the file.

    Attributes:
        joints: repaired times at which all stretches so far begin, but for the first.
        reached, picture: when the last packet ended, of all streams and of the picture, as the file says.
    """

    def __init__(self, container: InputContainer, video: VideoStream, rate: Fraction):
        """rate: of the picture, whose frames stay in its rhythm."""
        self.joints: list[Fraction] = []
        self.reached = self.picture = Fraction(0)
        self._demuxed = self._demux(container)
        self._video, self._rate = video, rate
        self._forward = FORWARD if Flags.ts_discont in Flags(container.format.flags) else LONGEST
        self._followed = {video.index} | {stream.index for stream in container.streams.audio}
        self._offsets = [Fraction(0)]  # of every stretch, in seconds
        self._queue: deque[Packet] = deque()  # read, but not given out
        self._places: dict[int, Place] = {}

    def __iter__(self) -> Iterator[Packet]:
        while (packet := self._queue.popleft() if self._queue else next(self._demuxed, None)) is not None:
            if _decoded(packet) is not None and not packet.stream.disposition & Disposition.attached_pic:
                self._reach(packet)
                offset = self._offset(packet)
                if self._jumps(packet, offset, self._places):
                    offset = self._repair(packet, offset)
                self._move(packet, offset)
            yield packet

    def _demux(self, container: InputContainer) -> Iterator[Packet]:
        indexed, delays = Indexed(container), Delays(container)
        packets = container.demux()
        while True:
            try:
                packet = next(packets)
            except (StopIteration, IndexError):  # PyAV flushes streams that appeared while it read, but knows them not
                return
            indexed.correct(packet)
            delays.correct(packet)
            yield packet

    def _reach(self, packet: Packet) -> None:
        end = _shown(packet) + (packet.duration or 0) * packet.time_base
        self.reached = max(self.reached, end)
        if packet.stream.index == self._video.index:
            self.picture = max(self.picture, end)

    def _offset(self, packet: Packet) -> Fraction:
        """The offset of the packet's stretch: of the last two, where the picture goes on, and the others do best."""
        index = packet.stream.index
        place = self._places.get(index if index in self._followed else self._video.index)
        if index == self._video.index or place is None:
            return self._offsets[-1]
        return min(self._offsets[:-3:-1], key=lambda offset: abs(_decoded(packet) + offset - place.end))

    def _jumps(self, packet: Packet, offset: Fraction, places: dict[int, Place]) -> int:
        """-1: the clock of the packet's stream jumps back; 1: ahead; 0: it does not."""
        place = places.get(packet.stream.index)
        if place is None or packet.dts is None or packet.stream.index not in self._followed:
            return 0
        time = _decoded(packet) + offset
        return 1 if time - place.end > self._forward else -1 if time - place.begin < -BACK else 0

    def _repair(self, packet: Packet, offset: Fraction) -> Fraction:
        """The offset of a packet that jumps: one of its own if the next one of its stream does not."""
        place = self._places[packet.stream.index]
        coming = itertools.islice(self._peek(), FEW)
        same = (other for other in coming if other.stream.index == packet.stream.index and other.dts is not None)
        following = next(same, None)
        if following is not None and -BACK < _decoded(following) + offset - place.end < NEAR:
            return place.end - _decoded(packet)
        self._begin_stretch(packet, offset)
        return self._offset(packet)

    def _begin_stretch(self, packet: Packet, offset: Fraction) -> None:
        """Begin another stretch if the picture jumps back, or if it jumps ahead and no other stream goes on."""
        first, places = self._look_ahead(packet, offset)
        picture = first.get(self._video.index)
        if picture is None:
            return
        steady = [
            index for index in places if index not in first and places[index].end - self._places[index].end > STEADY
        ]
        if self._jumps(picture, offset, places) > 0 and steady:
            return
        end = places[self._video.index].shown
        left = [left for left in self._offsets if -BACK < _shown(picture) + left - end < NEAR]
        self._offsets.append(left[-1] if left else self._fit(first, places))
        self.joints.append(_shown(picture) + self._offsets[-1])

    def _look_ahead(self, packet: Packet, offset: Fraction) -> tuple[dict[int, Packet], dict[int, Place]]:
        """By stream, the first packet of those that jump, and how far all have come before; none is given out."""
        first: dict[int, Packet] = {}
        places = dict(self._places)
        for number, coming in enumerate(itertools.chain([packet], self._peek())):
            index = coming.stream.index
            if index in first and coming.dts is not None and _decoded(coming) - _decoded(first[index]) > AHEAD:
                break  # the others do not jump, or have ended
            if index in places and index not in first and coming.dts is not None:
                if self._jumps(coming, offset, places):
                    first[index] = coming
                else:
                    places[index] = self._place(coming, offset, places[index])
            gone = (places[i].end - self._places[i].end for i in places if i not in first and i in self._followed)
            if number >= MOST or all(seconds > AHEAD for seconds in gone):
                break
        return first, places

    def _peek(self) -> Iterator[Packet]:
        """The packets to come, which are not given out by that."""
        yield from tuple(self._queue)
        for coming in self._demuxed:
            self._queue.append(coming)
            yield coming

    def _fit(self, first: dict[int, Packet], places: dict[int, Place]) -> Fraction:
        """The smallest offset with which none of the streams overlaps, and the picture stays in its rhythm."""
        least = {
            index: max(places[index].end - _decoded(packet), places[index].shown - _shown(packet))
            for index, packet in first.items()
        }
        picture = least[self._video.index]
        offset = picture + math.ceil((max(least.values()) - picture) * self._rate) / self._rate
        return round(offset / self._video.time_base) * self._video.time_base

    def _move(self, packet: Packet, offset: Fraction) -> None:
        index = packet.stream.index
        if packet.dts is not None:
            self._places[index] = self._place(packet, offset, self._places.get(index))
        ticks = round(offset / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def _place(self, packet: Packet, offset: Fraction, before: Place | None) -> Place:
        """How far the stream has come with a packet that is not moved yet."""
        lasts = (packet.duration or 0) * packet.time_base
        if packet.stream.index == self._video.index:
            lasts = lasts or 1 / self._rate
        begin, shown = _decoded(packet) + offset, _shown(packet) + offset + lasts
        return Place(begin, begin + lasts, shown if before is None else max(shown, before.shown))


def _decoded(packet: Packet) -> Fraction | None:
    ticks = packet.pts if packet.dts is None else packet.dts
    return None if ticks is None else ticks * packet.time_base


def _shown(packet: Packet) -> Fraction:
    return (packet.dts if packet.pts is None else packet.pts) * packet.time_base
