"""Times of AVI's packets from its index: the demuxer counts packets, and counts wrongly where some are unreadable."""

from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

HEAD = 8  # bytes of a chunk before its packet


def packet_order(container: InputContainer, video: VideoStream) -> dict[int, int]:
    """By the position of a packet, its number in the index, if there is one."""
    if container.format.name != "avi":
        return {}
    places = [entry.pos + HEAD for entry in video.index_entries if entry.size]
    return {place: number for number, place in enumerate(places)}


class Indexed:
    """What the index says of every packet, if there is one."""

    def __init__(self, container: InputContainer):
        self._times: dict[int, dict[int, int]] = {}
        self._units: dict[int, int] = {}  # of the index, in a packet's time base; found out as packets come
        if container.format.name == "avi":
            for stream in container.streams:
                self._times[stream.index] = {entry.pos: entry.timestamp for entry in stream.index_entries}

    def correct(self, packet: Packet) -> None:
        """Move a packet to where the index has it."""
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
