"""Prepare the packets of sound and subtitles for an output: set their times, and recode sound if mp4 needs it."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import OutputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition, Stream

MP4, M4V = "mp4", "ipod"  # FFmpeg's names of .mp4, and of .m4v, which holds no uncompressed sound
PLAIN = "pcm_"  # beginning of FFmpeg's names of uncompressed sound
AGREED = ("pcm_s16le", "pcm_s16be")  # uncompressed sound that players read in .mp4; FFmpeg before 6 misread all others
SHALLOW = {"pcm_s8", "pcm_u8", "pcm_alaw", "pcm_mulaw"}  # sound that fits into 16 bits
EXACT = SHALLOW | set(AGREED) | {"pcm_s24le", "pcm_s24be"}  # sound that ALAC, with 16 or 24 bits, holds exactly
FRAME = 4096  # samples per packet of ALAC


class OutputClock:
    """The clock of an output. It gives packets times that never go back in a stream, and are as exact as possible."""

    def __init__(self, output: OutputContainer):
        flags = Flags(output.format.flags)
        self._least = 0 if Flags.ts_nonstrict in flags else 1  # ticks from a packet to the next
        self._takes_negative = Flags.ts_negative in flags  # for packets that are decoded, but not shown
        self._last: dict[int, int] = {}

    def set(self, packet: Packet, copy: Stream, *, start: Fraction, is_cut: bool = False) -> bool:
        """Move a packet into the stream `copy`. Call it after the head of the output is written.

        Args:
            packet: a packet of the source. Its times are changed.
            copy: stream of the output.
            start: first moment of the source, in seconds.
            is_cut: True to leave out packets that end before it.
        Returns:
            False if the packet must not be written, because it has no time, or the source hides it.
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
    """Return the seconds of sound before the first moment that players decode and cut off."""
    context = stream.codec_context
    if stream.type != "audio" or context is None or not context.sample_rate:
        return Fraction(0)
    return Fraction(max(context.delay, 0), context.sample_rate)


def span(packet: Packet) -> tuple[Fraction, Fraction]:
    """Return the times at which a packet of the output begins and ends, in seconds."""
    return packet.pts * packet.time_base, (packet.pts + (packet.duration or 0)) * packet.time_base


def needs_recoding(stream: AudioStream, output: OutputContainer) -> bool:
    """Return True if players would misread a stream's sound in the output, and ALAC can hold it."""
    kind = output.format.name
    if kind not in (MP4, M4V) or stream.type != "audio" or stream.codec_context is None:
        return False
    name = stream.codec_context.name
    return name.startswith(PLAIN) and not (kind == MP4 and name in AGREED) and _try(stream)


def is_exact(stream: AudioStream) -> bool:
    """Return True if ALAC holds a stream's samples without loss."""
    return stream.codec_context.name in EXACT


class Recoder:
    """An encoder of one stream of uncompressed sound as ALAC."""

    def __init__(self, stream: AudioStream, output: OutputContainer):
        """Add a stream to `output`. It is the attribute `copy`."""
        context = stream.codec_context
        self.copy: AudioStream = output.add_stream("alac", rate=context.sample_rate)
        _describe(self.copy.codec_context, context)
        self._resampler = AudioResampler(
            format=self.copy.codec_context.format, layout=context.layout, rate=context.sample_rate, frame_size=FRAME
        )

    def packets(self, packet: Packet | None) -> Iterator[Packet]:
        """Yield the packets that follow from a packet, or from the end (None). Times are those of the source."""
        for frame in packet.decode() if packet is not None else [None]:
            for part in self._resampler.resample(frame):
                yield from self.copy.encode(part)
        if packet is None:
            yield from self.copy.encode(None)


def _describe(encoder: AudioCodecContext, source: AudioCodecContext) -> None:
    encoder.layout = source.layout
    encoder.format = "s16p" if source.name in SHALLOW else "s32p"


def _try(stream: AudioStream) -> bool:
    """Return True if the encoder takes the stream's channels and rate."""
    encoder = CodecContext.create("alac", "w")
    try:
        encoder.sample_rate = stream.codec_context.sample_rate
        _describe(encoder, stream.codec_context)
        encoder.open()
    except (av.FFmpegError, ValueError):
        return False
    return True
