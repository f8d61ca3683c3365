"""Repair the times of frames and packets: make rounded times exact, and replace times that cannot be true.

`Clock` repairs the times of any file's frames, `Delays` those of GIF and APNG, `Indexed` those of AVI.
"""

import contextlib
import logging
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

logger = logging.getLogger("waveletvfi")

LONGEST = 600  # most seconds from one frame to the next; a longer time is damage, not a still picture

MOVING = {"gif", "apng"}  # FFmpeg's names of their containers
SHORT = Fraction(1, 100)  # seconds; browsers take this time, or a shorter one, for a mistake
USUAL = Fraction(1, 10)  # seconds for which browsers show such a frame instead

HEAD = 8  # bytes of a chunk before its packet


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


def shown_for(seconds: Fraction) -> Fraction:
    """Return the seconds for which a browser shows a frame that should last `seconds`."""
    return USUAL if seconds <= SHORT else seconds


class Delays:
    """A clock that moves the packets of a GIF or APNG to the times at which browsers show them.

    Packets of other files are left as they are.
    """

    def __init__(self, container: InputContainer):
        self._is_moving = container.format.name in MOVING
        self._late = 0

    def correct(self, packet: Packet) -> None:
        """Set time and duration of the next packet."""
        if not self._is_moving or packet.pts is None:
            return
        duration = packet.duration or 0
        lasts = round(shown_for(duration * packet.time_base) / packet.time_base)
        packet.pts += self._late
        packet.dts = packet.pts
        packet.duration = lasts
        self._late += lasts - duration


def find_delays(container: InputContainer, rate: Fraction) -> tuple[Fraction, Fraction, int] | None:
    """Read a GIF or APNG to its end, and find the times at which browsers show it.

    Returns:
        Frames per second, duration in seconds, and number of frames; None for other files. The rate is `rate` unless
        browsers show frames more slowly than the file says.
    """
    if container.format.name not in MOVING:
        return None
    said = []
    with contextlib.suppress(av.FFmpegError):  # damage is found when the frames are read
        for packet in container.demux(video=0):
            said += [(packet.duration or 0) * packet.time_base] if packet.size else []
    shown = [shown_for(seconds) for seconds in said]
    if said != shown:
        rate = 1 / Counter(shown).most_common(1)[0][0]
    return rate, sum(shown, Fraction(0)), len(shown)


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
