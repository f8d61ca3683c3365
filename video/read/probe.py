"""Open and probe a video file: find its picture and a decoder, and read its properties as far as they are credible."""

import io
import logging
import os
import re
import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.codec.context import CodecContext
from av.container import InputContainer, OutputContainer
from av.sidedata.sidedata import Type as SideDataType
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
UNCOMPRESSED = ("rawvideo", "wrapped_avframe")
Y4M_SITINGS = {"left": "mpeg2", "center": "jpeg", "topleft": "paldv"}  # of 8-bit 4:2:0
MATROSKA_SITING = (b"\x55\xb7\x81", b"\x55\xb8\x81")  # horizontal, vertical; one byte each
MATROSKA_PLACES = {(1, 2): "left", (2, 2): "center", (1, 1): "topleft"}
SLOWEST, FASTEST = Fraction(1, 1000), 1000  # frames per second; beyond, the file is wrong
CHROMATICITY, LUMINANCE = 50_000, 10_000  # SMPTE ST 2086 in HEVC: units per 1, and per candela per square metre

# Decoders with alpha. These codecs have it as a second picture in side data, which FFmpeg's own decoders ignore.
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def open_media(path: str | os.PathLike, mode: str = "r", **options: Any) -> InputContainer | OutputContainer:
    """Open a file with `av.open`. A colon in its name starts no protocol; odd bytes in its metadata raise no error."""
    return av.open(str(Path(path).absolute()), mode, metadata_errors="replace", **options)


def find_picture(container: InputContainer, path: Path) -> VideoStream:
    """Return the first video stream that can be decoded and is not a cover image. Raises ValueError if there is
    none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    raise ValueError(f"{path} holds no video stream; a video, a folder of frames or two images are needed")


def find_start(container: InputContainer, video: VideoStream) -> Fraction:
    """Return the file's first moment in seconds. Later times are counted from there."""
    first = (video.start_time or 0) * video.time_base
    return first if first < 0 else max((container.start_time or 0) * MICROSECOND, Fraction(0))


def find_rate(video: VideoStream, path: Path) -> Fraction:
    """Return the nominal frames per second; the default if the file gives none, or an impossible one."""
    for rate in (video.guessed_rate, video.average_rate):
        if rate and SLOWEST <= rate <= FASTEST:
            return _usual_rate(Fraction(rate))
    logger.warning("%s does not say its frame rate, taken as %s", path, DEFAULT_RATE)
    return DEFAULT_RATE


def find_duration(container: InputContainer, video: VideoStream, rate: Fraction) -> tuple[Fraction | None, bool]:
    """Return the end of the picture according to the file, or else the end of the file.

    Returns:
        end: seconds from `find_start`; None if the file does not say. If the file rounds it to a coarser unit, it is
            put on the exact end of a frame of `rate`.
        is_own: True if the file gives the end of the picture itself, not that of a longer other stream.
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
    """Return the seconds in Matroska's tag "DURATION" ("00:00:02.700000000"); 0 if it is missing or not a time."""
    parts = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", metadata.get("DURATION", ""))
    if parts is None:
        return Fraction(0)
    hours, minutes, seconds = map(Fraction, parts.groups())
    return hours * 3600 + minutes * 60 + seconds


def has_alpha(container: InputContainer, video: VideoStream, first: VideoFrame) -> bool:
    """Return True if the picture has an alpha channel.

    The pixel format of its frames shows it. The decoders of VP8 and VP9 leave alpha out, so for these a tag of Matroska
    and WebM shows it.
    """
    if container.format.name == "gif":  # FFmpeg decodes every GIF to a format with alpha
        return False
    return is_transparent(first.format) or says_alpha(video)


def says_alpha(video: VideoStream) -> bool:
    """Return True if a tag says that the picture has an alpha channel."""
    return any(key.lower() == "alpha_mode" and value == "1" for key, value in video.metadata.items())


def find_siting(video: VideoStream) -> str:
    """Return the position of subsampled chroma in FFmpeg's words: "left", "center" or "topleft"; "" if it is unknown.

    PyAV does not give the position, but some muxers write it: Matroska's as 1 or 2 half pixels, and that of y4m as a
    word. Therefore the head of such a file is written to memory and searched.
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
        return next((name for name, tag in Y4M_SITINGS.items() if f" C420{tag}".encode() in head), "")
    horizontal, vertical = (head.find(code) for code in MATROSKA_SITING)
    if min(horizontal, vertical) < 0:
        return ""
    return MATROSKA_PLACES.get((head[horizontal + 3], head[vertical + 3]), "")


def _usual_rate(rate: Fraction) -> Fraction:
    """Return the nearest whole rate or television rate (whole * 1000/1001) if it is almost the file's rate."""
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


def read_light(frame: VideoFrame) -> str:
    """Return the mastering display and light levels of a decoded HDR frame as parameters of x265; "" for none.

    The mastering display is the screen for which the picture was made.
    """
    try:
        display = frame.side_data.get(SideDataType.MASTERING_DISPLAY_METADATA)
        levels = frame.side_data.get(SideDataType.CONTENT_LIGHT_LEVEL)
    except ValueError:  # the frame also has a kind of data that PyAV does not know
        return ""
    parameters = []
    if display is not None and (text := _describe_display(struct.unpack("=22i", bytes(display)[:88]))):
        parameters.append(f"master-display={text}")
    if levels is not None:
        brightest, average = struct.unpack("=2I", bytes(levels)[:8])
        parameters.append(f"max-cll={min(brightest, 65535)},{min(average, 65535)}")
    return ":".join(parameters)


def _describe_display(numbers: tuple[int, ...]) -> str:
    """Return the mastering display as a parameter of x265; "" if it is not complete or not valid.

    Args:
        numbers: ten fractions (x and y of red, green, blue and white; least and most light), then two flags: are the
            colours known, and is the light known?
    """
    *fractions, has_colours, has_light = numbers
    tops, bottoms = fractions[::2], fractions[1::2]
    if not (has_colours and has_light and all(bottoms)):
        return ""
    values = [Fraction(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)]
    places = [round(value * CHROMATICITY) for value in values[:8]]
    least, most = (round(value * LUMINANCE) for value in values[8:])
    if min(*places, least, most) < 0 or max(places) > CHROMATICITY:
        return ""
    red, green, blue, white = (f"({x},{y})" for x, y in zip(places[::2], places[1::2], strict=True))
    return f"G{green}B{blue}R{red}WP{white}L({most},{least})"
