"""Times of copied packets: the source's, as exactly as the output's clock can say them."""

from fractions import Fraction

from av.container import OutputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition, Stream


class OutputClock:
    """Gives packets the times of an output, which must not go back in any stream."""

    def __init__(self, output: OutputContainer):
        flags = Flags(output.format.flags)
        self._least = 0 if Flags.ts_nonstrict in flags else 1  # ticks from a packet to the next
        self._takes_negative = Flags.ts_negative in flags  # as what is decoded, but not shown
        self._last: dict[int, int] = {}

    def set(self, packet: Packet, copy: Stream, *, start: Fraction, is_cut: bool = False) -> bool:
        """Move a packet into the stream `copy`, whose unit of time is known when the head of the output is written.

        Args:
            start: the source's first moment, in seconds. is_cut: what ends before it is left out.
        Returns:
            False for a packet that is not to be written: it has no time, or the source hides it.
        """
        is_cover = bool(packet.stream.disposition & Disposition.attached_pic)
        times = [packet.dts if packet.pts is None else packet.pts, packet.pts if packet.dts is None else packet.dts]
        if None in times and not is_cover:
            return False
        shift = 0 if is_cover else start
        shown, decoded = (Fraction(0) if is_cover else ticks * packet.time_base - shift for ticks in times)
        lasts = (packet.duration or 0) * packet.time_base
        if packet.is_discard and shown >= 0:
            return False
        if is_cut and shown < 0 and shown + lasts <= 0 and not is_cover:
            return False
        if shown < 0 and (not self._takes_negative or (is_cut and copy.type == "subtitle")):
            if copy.type == "subtitle" and shown + lasts > 0:
                shown, decoded, lasts = Fraction(0), Fraction(0), lasts + shown
            elif shown + _padding(packet.stream) < -packet.time_base:
                return False
        unit = copy.time_base
        dts = round(decoded / unit)
        if copy.index in self._last:
            dts = max(dts, self._last[copy.index] + self._least)
        self._last[copy.index] = dts
        packet.pts, packet.dts = max(round(shown / unit), dts), dts
        packet.duration, packet.time_base, packet.stream = round(lasts / unit), unit, copy
        return True


def _padding(stream: Stream) -> Fraction:
    """Seconds of sound before the first moment that are decoded and cut off; Matroska says how much, as others do."""
    context = stream.codec_context
    if stream.type != "audio" or context is None or not context.sample_rate:
        return Fraction(0)
    return Fraction(max(context.delay, 0), context.sample_rate)


def span(packet: Packet) -> tuple[Fraction, Fraction]:
    """When a packet that has its place in the output begins and ends, in seconds."""
    return packet.pts * packet.time_base, (packet.pts + (packet.duration or 0)) * packet.time_base
