"""Sound without compression for mp4: ALAC, without loss, where players disagree about how it is stored there."""

from collections.abc import Iterator

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import OutputContainer
from av.packet import Packet

MP4, M4V = "mp4", "ipod"  # FFmpeg's names of .mp4, and of .m4v, which holds none of it
PLAIN = "pcm_"  # how FFmpeg's names of uncompressed sound begin
AGREED = ("pcm_s16le", "pcm_s16be")  # in .mp4: before version 6, FFmpeg took anything else as 16 bits, or nothing
SHALLOW = {"pcm_s8", "pcm_u8", "pcm_alaw", "pcm_mulaw"}  # 16 bits hold them
EXACT = SHALLOW | set(AGREED) | {"pcm_s24le", "pcm_s24be"}  # ALAC has 16 or 24 bits
FRAME = 4096  # samples: what ALAC takes


def needs_recoding(stream: AudioStream, output: OutputContainer) -> bool:
    """Whether a stream's sound is to be stored as ALAC, which the output then can hold."""
    kind = output.format.name
    if kind not in (MP4, M4V) or stream.type != "audio" or stream.codec_context is None:
        return False
    name = stream.codec_context.name
    return name.startswith(PLAIN) and not (kind == MP4 and name in AGREED) and _try(stream)


def is_exact(stream: AudioStream) -> bool:
    """Whether ALAC holds every bit of a stream's samples."""
    return stream.codec_context.name in EXACT


class Recoder:
    """Encodes one stream's packets as ALAC."""

    def __init__(self, stream: AudioStream, output: OutputContainer):
        """Add a stream to `output`, which is `copy` then."""
        context = stream.codec_context
        self.copy: AudioStream = output.add_stream("alac", rate=context.sample_rate)
        _describe(self.copy.codec_context, context)
        self._resampler = AudioResampler(
            format=self.copy.codec_context.format, layout=context.layout, rate=context.sample_rate, frame_size=FRAME
        )

    def packets(self, packet: Packet | None) -> Iterator[Packet]:
        """What a packet, or the end (None), gives; times are those of the source."""
        for frame in packet.decode() if packet is not None else [None]:
            for part in self._resampler.resample(frame):
                yield from self.copy.encode(part)
        if packet is None:
            yield from self.copy.encode(None)


def _describe(encoder: AudioCodecContext, source: AudioCodecContext) -> None:
    encoder.layout = source.layout
    encoder.format = "s16p" if source.name in SHALLOW else "s32p"


def _try(stream: AudioStream) -> bool:
    """Whether the encoder takes the stream's channels and rate."""
    encoder = CodecContext.create("alac", "w")
    try:
        encoder.sample_rate = stream.codec_context.sample_rate
        _describe(encoder, stream.codec_context)
        encoder.open()
    except (av.FFmpegError, ValueError):
        return False
    return True
