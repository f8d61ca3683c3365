"""Probe a video file: find its picture, a decoder for it, and what it says of itself as far as that can be believed."""

import io
import logging
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .colour import is_transparent

logger = logging.getLogger("waveletvfi")

DEFAULT_RATE = Fraction(25)
NEARLY = Fraction(1, 50_000)  # relative error of a rate in a file that stores a period in another unit
MILLISECOND = Fraction(1, 1000)  # the unit in which Matroska gives its duration
MICROSECOND = Fraction(1, 1_000_000)  # the unit of a container's times
TIMED_KINDS = ("video", "audio", "subtitle")
PROGRESSIVE = 1  # FFmpeg's order of fields; 0: unknown, more: interlaced
UNCOMPRESSED = ("rawvideo", "wrapped_avframe")
Y4M_SITINGS = {"left": b" C420mpeg2", "center": b" C420jpeg", "topleft": b" C420paldv"}
MATROSKA_SITING = (b"\x55\xb7\x81", b"\x55\xb8\x81")  # horizontal, vertical; one byte each
MATROSKA_PLACES = {(1, 2): "left", (2, 2): "center", (1, 1): "topleft"}
SLOWEST, FASTEST = Fraction(1, 1000), 1000  # frames per second; beyond, the file is wrong

# Decoders that give alpha. In these codecs it is a second picture in a packet's side data, and FFmpeg's own ignore it.
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def find_picture(container: InputContainer, path: Path) -> VideoStream:
    """Return the first video stream that can be decoded and is not a cover image. Raises ValueError if there is
    none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    raise ValueError(f"{path} holds no video stream; a video, a folder of frames or two images are needed")


def find_start(container: InputContainer, video: VideoStream) -> Fraction:
    """Return the seconds that the file calls its first moment; later times are counted from there."""
    first = (video.start_time or 0) * video.time_base
    return first if first < 0 else max((container.start_time or 0) * MICROSECOND, Fraction(0))


def find_rate(video: VideoStream, path: Path) -> Fraction:
    """Return the nominal frames per second; the default if the file says nothing or nonsense."""
    for rate in (video.guessed_rate, video.average_rate):
        if rate and SLOWEST <= rate <= FASTEST:
            return _usual_rate(Fraction(rate))
    logger.warning("%s does not say its frame rate, taken as %s", path, DEFAULT_RATE)
    return DEFAULT_RATE


def find_duration(container: InputContainer, video: VideoStream, rate: Fraction) -> tuple[Fraction | None, bool]:
    """Return when the picture, or else the file, ends according to the file.

    Returns:
        end: seconds from `find_start`; None if nothing is said. If it is, within the file's coarser unit, a whole
            number of frames of `rate`, it is exactly that.
        is_own: the file says it of the picture itself, so it cannot be the end of a longer other stream.
    """
    start = find_start(container, video)
    own = (video.duration or 0) * video.time_base
    tagged = _tagged_duration(video.metadata)
    whole = (container.duration or 0) * MICROSECOND
    others = [stream for stream in container.streams if stream.index != video.index and stream.type in TIMED_KINDS]
    if own > 0:
        end = own + max((video.start_time or 0) * video.time_base - start, Fraction(0))
    else:
        end = tagged - start if tagged > 0 else whole
    rounded = round(end * rate) / rate
    is_rounded = abs(rounded - end) <= max(video.time_base, MILLISECOND) < 1 / (4 * rate)
    return (rounded if is_rounded else end) if end > 0 else None, own > 0 or tagged > 0 or not others


def _tagged_duration(metadata: Mapping[str, str]) -> Fraction:
    """Return the seconds of Matroska's tag "DURATION" ("00:00:02.700000000"); 0 if it is missing or no time."""
    parts = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", metadata.get("DURATION", ""))
    if parts is None:
        return Fraction(0)
    hours, minutes, seconds = map(Fraction, parts.groups())
    return hours * 3600 + minutes * 60 + seconds


def say_what_is_lost(
    path: Path,
    container: InputContainer,
    video: VideoStream,
    first: VideoFrame,
    *,
    is_deinterlaced: bool,
    keeps_alpha: bool,
) -> None:
    """Warn of each part of the picture that will not be in the output."""
    pictures = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    shows_combs = first.interlaced_frame or (video.codec_context.field_order or 0) > PROGRESSIVE
    notes = {
        "only the first video stream is kept": len(pictures) > 1,
        "alpha channel, dropped; --alpha interpolates it, too": has_alpha(container, video, first) and not keeps_alpha,
        "interlaced: moving edges show combs; --deinterlace makes whole frames of it": shows_combs
        and not is_deinterlaced,
    }
    for note in (text for text, is_true in notes.items() if is_true):
        logger.warning("%s: %s", path, note)


def has_alpha(container: InputContainer, video: VideoStream, first: VideoFrame) -> bool:
    """Return True if the picture is transparent in places.

    Its frames say so. For VP8 and VP9, whose decoders leave alpha out, a tag of Matroska and WebM says so.
    """
    if container.format.name == "gif":  # every GIF seems to have alpha
        return False
    return is_transparent(first.format) or says_alpha(video)


def says_alpha(video: VideoStream) -> bool:
    """Return True if a tag says that the picture is transparent in places."""
    return any(key.lower() == "alpha_mode" and value == "1" for key, value in video.metadata.items())


def find_siting(video: VideoStream) -> str:
    """Return where samples of halved chroma lie, in FFmpeg's words: "left", "center", "topleft"; "" if nothing is said.

    PyAV does not tell, but some muxers write it down: Matroska's in half pixels, 1 and 2, and that of y4m in words.
    """
    is_raw = video.codec_context.name in UNCOMPRESSED
    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format="yuv4mpegpipe" if is_raw else "matroska") as container:
            container.add_stream_from_template(video, opaque=True)
            container.start_encoding()
    except (av.FFmpegError, ValueError):
        return ""  # a codec, or chroma, for which there is no place
    head = buffer.getvalue()
    if is_raw:
        return next((name for name, tag in Y4M_SITINGS.items() if tag in head), "")
    horizontal, vertical = (head.find(code) for code in MATROSKA_SITING)
    if min(horizontal, vertical) < 0:
        return ""
    return MATROSKA_PLACES.get((head[horizontal + 3], head[vertical + 3]), "")


def _usual_rate(rate: Fraction) -> Fraction:
    """Return the nearest whole rate or television rate (whole * 1000/1001), if the file's is nearly that."""
    usual = (Fraction(round(rate)), Fraction(round(rate * 1001 / 1000) * 1000, 1001))
    nearest = min(usual, key=lambda candidate: abs(candidate - rate))
    return nearest if abs(nearest - rate) <= NEARLY * rate else rate.limit_denominator(1001)


def open_decoder(video: VideoStream, options: dict[str, str], *, keeps_alpha: bool = False) -> VideoCodecContext:
    """Return a decoder of a stream's packets; with `keeps_alpha`, one that decodes alpha, too."""
    decoder = video.codec_context
    if keeps_alpha and decoder.name in WITH_ALPHA:
        decoder = cast(VideoCodecContext, CodecContext.create(WITH_ALPHA[decoder.name], "r"))
        decoder.extradata = video.codec_context.extradata
    decoder.options = options
    return decoder
