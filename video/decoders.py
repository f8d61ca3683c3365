"""Decoders of a stream: FFmpeg's choice, or one that gives alpha, too."""

from typing import cast

from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

# Decoders that give alpha, which is a picture of its own in a packet's side data; FFmpeg's own leave it out.
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def open_decoder(video: VideoStream, options: dict[str, str], *, keeps_alpha: bool = False) -> VideoCodecContext:
    """Return a decoder for a stream's packets; with `keeps_alpha`, one that gives alpha too, where that is another."""
    decoder = video.codec_context
    if keeps_alpha and decoder.name in WITH_ALPHA:
        decoder = cast(VideoCodecContext, CodecContext.create(WITH_ALPHA[decoder.name], "r"))
        decoder.extradata = video.codec_context.extradata
    decoder.options = options
    return decoder
