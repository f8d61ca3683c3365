"""How long moving images show each frame: as browsers do, not always as the file says."""

import contextlib
from collections import Counter
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet

MOVING = {"gif", "apng"}  # FFmpeg's names of their containers
SHORT = Fraction(1, 100)  # seconds: all browsers take so little, or nothing, as not meant
USUAL = Fraction(1, 10)  # seconds that they show such a frame instead


def shown_for(seconds: Fraction) -> Fraction:
    """Seconds that a browser shows a frame whose file says `seconds`."""
    return USUAL if seconds <= SHORT else seconds


class Delays:
    """Moves the packets of a moving image to where browsers show them; other packets stay as they are."""

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
    """Usual frames per second, duration in seconds, and frames of a moving image, None for another file. The rate is
    `rate` unless browsers show frames slower than the file says. Reads the file to its end."""
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
