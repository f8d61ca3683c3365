"""Repair the times of frames and packets: make rounded times exact, and replace times that cannot be true.

`Continuity` puts packets on one clock: if a file's clock jumps, picture, sound and subtitles continue together. In
recordings, and in transport streams that were concatenated, the clock may start again in the middle. Such a file
consists of stretches, each with a clock of its own. The place between two stretches is a joint. All streams of a
stretch are moved by the same offset, so that they stay together. It is the smallest offset with which no stream
overlaps with the stretch before, and the picture stays in its rhythm.

`Clock` makes the times of frames exact. `Indexed` corrects the times of packets of AVI.
"""

import itertools
import logging
import math
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from .moving_images import Delays

logger = logging.getLogger("waveletvfi")

LONGEST = 600  # most seconds from one frame to the next; a longer time is damage, not a still picture
HEAD = 8  # bytes of a chunk of AVI before its packet
BACK = Fraction(1, 10)  # seconds by which times of decoding may go back on one and the same clock
FORWARD = 10  # seconds of a jump ahead, in containers whose clock may jump
AHEAD = 3  # seconds within which the other streams jump, too, after one has jumped
MOST = 2000  # most packets to look at for such jumps
FEW = 500  # number of packets among which the next one of a stream is searched
STEADY = 1  # seconds of a stream after which it counts as going on without a jump
NEAR = Fraction(1, 2)  # seconds after the end of a stretch in which an earlier clock may continue


class Clock:
    """The times of frames. If the file rounds them to a coarser unit, they are put on the grid of the nominal rate."""

    def __init__(self, rate: Fraction, unit: Fraction, path: Path, *, first: Fraction | None = None):
        """Set up a clock.

        Args:
            rate: nominal frames per second.
            unit: unit of the file's times, in seconds.
            path: path of the file for messages.
            first: time of the file's first frame, if the ticks begin later (after a seek).
        """
        self._rate, self._unit, self._path, self._first = rate, unit, path, first
        self._last: Fraction | None = None
        self._is_steady = True

    def tick(self, time: Fraction | None) -> Fraction:
        """Return the time of the next frame. `time` is that of the file; None if it gives none."""
        if self._first is None:
            self._first = self._last = time if time is not None and abs(time) <= LONGEST else Fraction(0)
            return self._first
        expected = self._first if self._last is None else self._last + 1 / self._rate
        if time is None:
            time = expected
        nearest = self._first + round((time - self._first) * self._rate) / self._rate
        if abs(nearest - time) <= self._unit < 1 / (4 * self._rate):
            time = nearest
        if self._last is not None and not 0 < time - self._last <= LONGEST:
            if self._is_steady:
                logger.warning(
                    "%s: frame times do not increase, or jump; one period is put between such frames", self._path
                )
            self._is_steady = False
            time = expected
        self._last = time
        return time


class Place(NamedTuple):
    """The point that a stream has reached, in seconds of the repaired clock.

    begin: time at which the decoding of its last packet begins.
    end: time at which the decoding of its last packet ends.
    shown: time at which its content so far ends.
    """

    begin: Fraction
    end: Fraction
    shown: Fraction


class Continuity:
    """The packets of a container with repaired times, in the order of the file.

    Attributes:
        joints: repaired times at which the stretches so far begin, without the first stretch, in seconds.
        reached: end of the last packet of all streams according to the file, in seconds.
        picture: end of the last packet of the picture according to the file, in seconds.
    """

    def __init__(self, container: InputContainer, video: VideoStream, rate: Fraction):
        """Start at the beginning. `rate` is the number of frames per second of the picture, its rhythm."""
        self.joints: list[Fraction] = []
        self.reached = self.picture = Fraction(0)
        self._demuxed = self._demux(container)
        self._video, self._rate = video, rate
        self._forward = FORWARD if Flags.ts_discont in Flags(container.format.flags) else LONGEST
        self._followed = {video.index} | {stream.index for stream in container.streams.audio}
        self._offsets = [Fraction(0)]  # offsets of the stretches, in seconds
        self._queue: deque[Packet] = deque()  # packets that were read, but not yet yielded
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
            except (StopIteration, IndexError):  # PyAV fails to flush streams that appeared while it read
                return
            indexed.correct(packet)
            delays.correct(packet)
            yield packet

    def _reach(self, packet: Packet) -> None:
        end = packet_time(packet) + (packet.duration or 0) * packet.time_base
        self.reached = max(self.reached, end)
        if packet.stream.index == self._video.index:
            self.picture = max(self.picture, end)

    def _offset(self, packet: Packet) -> Fraction:
        """Return the offset of the packet's stretch.

        The picture belongs to the last stretch. Another stream belongs to that of the last two stretches that fits its
        times better.
        """
        index = packet.stream.index
        place = self._places.get(index if index in self._followed else self._video.index)
        if index == self._video.index or place is None:
            return self._offsets[-1]
        return min(self._offsets[:-3:-1], key=lambda offset: abs(_decoded(packet) + offset - place.end))

    def _jumps(self, packet: Packet, offset: Fraction, places: dict[int, Place]) -> int:
        """Return -1 if the clock of the packet's stream jumps back, 1 if it jumps ahead, 0 if it does not jump."""
        place = places.get(packet.stream.index)
        if place is None or packet.dts is None or packet.stream.index not in self._followed:
            return 0
        time = _decoded(packet) + offset
        return 1 if time - place.end > self._forward else -1 if time - place.begin < -BACK else 0

    def _repair(self, packet: Packet, offset: Fraction) -> Fraction:
        """Return the offset of a packet that jumps. It is for this packet alone if the next of its stream does not."""
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
        left = [left for left in self._offsets if -BACK < packet_time(picture) + left - end < NEAR]
        self._offsets.append(left[-1] if left else self._fit(first, places))
        self.joints.append(packet_time(picture) + self._offsets[-1])

    def _look_ahead(self, packet: Packet, offset: Fraction) -> tuple[dict[int, Packet], dict[int, Place]]:
        """Look at the packets that follow. They are kept for later.

        Returns:
            first: by stream, the first packet that jumps.
            places: by stream, the place that it has reached before.
        """
        first: dict[int, Packet] = {}
        places = dict(self._places)
        for number, coming in enumerate(itertools.chain([packet], self._peek())):
            index = coming.stream.index
            if index in first and coming.dts is not None and _decoded(coming) - _decoded(first[index]) > AHEAD:
                break  # the other streams do not jump, or have ended
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
        """Yield the packets that follow. They are kept, and yielded again later."""
        yield from tuple(self._queue)
        for coming in self._demuxed:
            self._queue.append(coming)
            yield coming

    def _fit(self, first: dict[int, Packet], places: dict[int, Place]) -> Fraction:
        """Return the smallest offset with which no stream overlaps and the picture stays in its rhythm."""
        least = {
            index: max(places[index].end - _decoded(packet), places[index].shown - packet_time(packet))
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
        """Return the place that a stream reaches with a packet that has not been moved yet."""
        lasts = (packet.duration or 0) * packet.time_base
        if packet.stream.index == self._video.index:
            lasts = lasts or 1 / self._rate
        begin, shown = _decoded(packet) + offset, packet_time(packet) + offset + lasts
        return Place(begin, begin + lasts, shown if before is None else max(shown, before.shown))


def packet_time(packet: Packet) -> Fraction | None:
    """Return the time in seconds at which a packet is shown, or else decoded; None if it has neither."""
    ticks = packet.dts if packet.pts is None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def packet_order(container: InputContainer, video: VideoStream) -> dict[int, int]:
    """Return the number of each packet in the index of an AVI, by its position; empty if there is no index."""
    if container.format.name != "avi":
        return {}
    places = [entry.pos + HEAD for entry in video.index_entries if entry.size]
    return {place: number for number, place in enumerate(places)}


class Indexed:
    """The times of an AVI's packets from its index, if there is one.

    The demuxer counts packets instead, and counts wrongly if some cannot be read.
    """

    def __init__(self, container: InputContainer):
        self._times: dict[int, dict[int, int]] = {}
        self._units: dict[int, int] = {}  # unit of the index in a packet's time base, found as packets come
        if container.format.name == "avi":
            for stream in container.streams:
                self._times[stream.index] = {entry.pos: entry.timestamp for entry in stream.index_entries}

    def correct(self, packet: Packet) -> None:
        """Move a packet to its time in the index."""
        index = packet.stream.index
        time = self._times.get(index, {}).get((packet.pos or 0) - HEAD)
        if time is None or packet.dts is None:
            return
        if index not in self._units and packet.dts > 0:  # sound of fixed size is counted in bytes there
            unit = Fraction(time, packet.dts)
            self._units[index] = int(unit) if unit.denominator == 1 else 0
        if unit := self._units.get(index, 0):
            late = time // unit - packet.dts
            packet.dts += late
            packet.pts = None if packet.pts is None else packet.pts + late


def _decoded(packet: Packet) -> Fraction | None:
    ticks = packet.pts if packet.dts is None else packet.dts
    return None if ticks is None else ticks * packet.time_base
