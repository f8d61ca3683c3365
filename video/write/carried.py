"""Prepare the carried streams, the source's sound and subtitles that are copied into an output.

Their packets get times, and sound is recoded if mp4 needs it. The muxer may be unable to close the file with them. Then
it is written again with a part of them left out: a `Cut`.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import OutputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Disposition, Stream

from ..read.probe import open_media
from ..read.reader import VideoReader

MP4, M4V = "mp4", "ipod"  # FFmpeg's names of .mp4, and of .m4v, which holds no uncompressed sound
PLAIN = "pcm_"  # beginning of FFmpeg's names of uncompressed sound
AGREED = ("pcm_s16le", "pcm_s16be")  # uncompressed sound that players read in .mp4; FFmpeg before 6 misread all others
SHALLOW = {"pcm_s8", "pcm_u8", "pcm_alaw", "pcm_mulaw"}  # sound that fits into 16 bits
EXACT = SHALLOW | set(AGREED) | {"pcm_s24le", "pcm_s24be"}  # sound that ALAC, with 16 or 24 bits, holds exactly
LONGER = Fraction(1, 5)  # seconds by which sound may last longer than the picture without a warning
CARRIED = {"audio": "sound", "subtitle": "subtitles"}  # kinds of streams that may be left out


class Cut(NamedTuple):
    """The part of carried streams that is left out, because the output could not be closed with it.

    without: kinds of streams that are left out.
    until: time in seconds after which nothing is carried; None: there is no limit.
    """

    without: tuple[str, ...] = ()
    until: Fraction | None = None

    def describe(self, kinds: set[str], reason: str) -> str:
        """Describe the part that is left out, and the reason.

        Args:
            kinds: kinds of the streams that were carried.
            reason: error message of the muxer.
        """
        names = [name for kind, name in CARRIED.items() if kind in kinds and kind in (self.without or CARRIED)]
        after = "" if self.until is None else f" from {float(self.until):.2f} s on"
        return f"{' and '.join(names)}{after} left out, as the output could not be closed with them ({reason})"


class Carried(NamedTuple):
    """The streams that are carried into an output.

    source: reader of the source.
    end: seconds after which nothing is copied; None: there is no limit.
    stretch: factor by which the output lasts longer. Unless it is 1, sound and subtitles are left out.
    cut: the part that is left out.
    is_said: True if the user already knows what is left out.
    """

    source: VideoReader
    end: Fraction | None = None
    stretch: Fraction = Fraction(1)
    cut: Cut = Cut()
    is_said: bool = False


class Written(NamedTuple):
    """The extent of one stream that was written. Times are in seconds.

    kind: type of the stream.
    first: time at which its first packet begins.
    last: time at which its last packet begins.
    end: time at which its last packet ends.
    """

    kind: str
    first: Fraction
    last: Fraction
    end: Fraction


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


def add_recoded(stream: AudioStream, output: OutputContainer) -> AudioStream:
    """Add a stream to `output` that holds a stream of uncompressed sound as ALAC, see `recode`."""
    copy = output.add_stream("alac", rate=stream.codec_context.sample_rate)
    _describe(copy.codec_context, stream.codec_context)
    return copy


def recode(packet: Packet | None, copy: AudioStream) -> Iterator[Packet]:
    """Yield the packets of `copy` that follow from a packet, or from the end (None). Times are those of the source."""
    for frame in packet.decode() if packet is not None else [None]:
        yield from copy.encode(frame)


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


def cut_more(cut: Cut, written: dict[int, Written]) -> Cut | None:
    """Return the next larger part to leave out; None if everything is left out already.

    First, packets after the end of the shortest stream are left out, then subtitles, then everything.
    """
    kinds = {stream.kind for stream in written.values()}
    if not kinds & CARRIED.keys() or cut.without == tuple(CARRIED):
        return None
    reached = [stream.last for stream in written.values() if stream.kind != "subtitle"]
    if cut == Cut() and len(reached) > 1:
        return Cut(until=min(reached))
    if not cut.without and CARRIED.keys() <= kinds:
        return Cut(("subtitle",))
    return Cut(tuple(CARRIED))


def missing(output: Path, written: dict[int, Written]) -> str | None:
    """Describe the carried streams that a finished output lacks according to its head; None if it has all.

    The mp4 muxer drops packets that it cannot describe, such as those of a damaged E-AC-3 stream, without an error.

    Args:
        output: the finished file.
        written: by stream, the extent that the muxer was given.
    """
    with open_media(output) as container:
        for kind, name in CARRIED.items():
            given = [stream for stream in written.values() if stream.kind == kind]
            there = [stream for stream in container.streams if stream.type == kind]
            if len(there) < len(given):
                count = f" ({len(given) - len(there)} of {len(given)} streams)" if len(given) > 1 else ""
                return f"{name}{count} left out: {output.suffix} takes none of the packets, which are damaged"
            for stream, found in zip(given, there, strict=False):
                if kind == "audio" and found.duration is not None and found.start_time is not None:
                    first = found.start_time * found.time_base
                    lost = max(
                        first - max(stream.first, Fraction(0)), stream.end - first - found.duration * found.time_base
                    )
                    if lost > LONGER:
                        return f"{float(lost):.2f} s of {name} left out: {output.suffix} does not take damaged packets"
    return None
