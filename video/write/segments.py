"""Encode segments of an output on their own, so that any process can make them in any order, and keep them."""

import contextlib
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from utils import atomic_path

from ..frame import Frame
from ..read.colour import MATRICES, RGB, Colour, depth, encode_picture, is_transparent
from ..read.images import save_picture
from ..read.probe import open_media
from ..render.alpha import fill
from .encoders import check_used, describe_encoders, holds, own_words

QUICK_TIME = (".mp4", ".m4v", ".mov")
FRAMES = "frames"  # the folder of PNG files inside that of the segments
SEGMENT = ".nut"  # a container that holds every codec and exact times
LOSSLESS = "ffv1"  # the encoder that keeps invisible colours
UNTIMED = 2  # number of frames; for so few, x265 reads decoding times from memory that it never wrote
HANDED_ON = "tee"  # the format of an `open_handed_on`
EXACT = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}  # write nothing random, and shift no time
BESIDE = {"syncpoints": "timestamped", "strict": "experimental"}  # keep side data of packets, such as alpha of VP9


class Format(NamedTuple):
    """The format in which the frames of an output are stored, see `choose_format`.

    suffix: suffix of the output; "" for a folder of PNG files.
    encoder: FFmpeg's name of the encoder; "" for such a folder.
    options: options of the encoder, as (key, value).
    pixel_format: FFmpeg's name of the pixel format.
    colour: codes of the stored colour.
    size: (H, W) in pixels.
    rate: nominal frames per second.
    unit: unit of time in seconds, of which all times are multiples.
    aspect: width/height of a pixel; None if unknown.
    """

    suffix: str
    encoder: str
    options: tuple[tuple[str, str], ...]
    pixel_format: str
    colour: Colour
    size: tuple[int, int]
    rate: Fraction
    unit: Fraction
    aspect: Fraction | None

    @property
    def has_alpha(self) -> bool:
        """True if frames keep their alpha."""
        return is_transparent(VideoFormat(self.pixel_format))

    @property
    def keeps_aspect(self) -> bool:
        """True if the container or codec stores the aspect of pixels, so that players apply it."""
        return self.suffix in (*QUICK_TIME, ".y4m") or self.encoder in ("libx264", "libx265")


class SegmentWriter:
    """A writer of the frames of one segment into an open container. Times are those of the whole output.

    files: the files of the segment.
    """

    def __init__(self, container: OutputContainer, form: Format, *files: Path):
        self._container, self._format, self.files = container, form, files
        self._stream: VideoStream = container.add_stream(form.encoder, rate=form.rate, options=dict(form.options))
        self._stream.height, self._stream.width = form.size
        self._stream.pix_fmt = form.pixel_format
        self._stream.codec_context.time_base = form.unit
        tag_colour(self._stream.codec_context, form)
        self._last = -1
        self.count = 0

    def write(self, frame: Frame) -> None:
        """Encode one frame. Times must increase, and must not be negative.

        Raises:
            ValueError: the frame has another size.
        """
        form, picture = self._format, as_stored(frame, self._format)
        self._last = max(round(frame.time / form.unit), self._last + 1)
        picture.time_base, picture.pts = form.unit, self._last
        picture.pict_type = 0  # a key frame of the source need not be one here
        self._container.mux(self._stream.encode(picture))
        self.count += 1

    @property
    def unused(self) -> set[str]:
        """The options that the encoder did not know. They are known after the first frame."""
        return set(self._stream.codec_context.options)

    def finish(self) -> None:
        """Write the packets that the encoder still holds."""
        packets = self._stream.encode()
        if self.count <= UNTIMED and self._format.encoder == "libx265":
            for packet in packets:
                packet.dts = packet.pts
        self._container.mux(packets)


class FolderWriter:
    """A writer of numbered PNG files. `write` and `files` are as in `SegmentWriter`."""

    def __init__(self, folder: Path, first: int):
        self._folder, self._first = folder, first
        self.files: list[Path] = []

    def write(self, frame: Frame) -> None:
        """Write one frame. Raises OSError, naming the file, if it cannot be written."""
        path = self._folder / f"{self._first + len(self.files):06d}.png"
        save_picture(path, frame.image, frame.alpha)
        self.files.append(path)


@contextlib.contextmanager
def segment_writer(folder: Path, index: int, form: Format, *, first: int = 0) -> Iterator[SegmentWriter | FolderWriter]:
    """Yield a writer for a segment. The segment appears in `folder` only if the block succeeds.

    Args:
        folder: folder of the segments.
        index: number of the segment.
        form: format of the output.
        first: number of the segment's first frame in the whole output, which names its PNG file.
    Raises:
        OSError: there is no space or no permission.
    """
    if not form.encoder:
        (folder / FRAMES).mkdir(parents=True, exist_ok=True)
        yield FolderWriter(folder / FRAMES, first)
        return
    path = folder / f"{index:06d}{SEGMENT}"
    with atomic_path(path) as temporary, naming_failures(folder), _open_segment(temporary, form) as container:
        writer = SegmentWriter(container, form, path)
        yield writer
        writer.finish()


def _open_segment(path: Path, form: Format) -> OutputContainer:
    kind, options = SEGMENT.removeprefix("."), EXACT | (BESIDE if form.has_alpha else {})
    if holds(kind, form.encoder):
        return open_media(path, "w", container_options=options)
    # FFmpeg's list of codecs is not complete: this container holds ProRes, too.
    return open_handed_on(path, kind, options)


def as_stored(frame: Frame, form: Format) -> VideoFrame:
    """Return a frame in the output's format. If no pixel changes by that, it is the picture as it was decoded.

    Raises:
        ValueError: the frame has another size.
    """
    if frame.image.shape[:2] != form.size:
        (height, width), (rows, columns) = form.size, frame.image.shape[:2]
        raise ValueError(f"{frame.source} is {columns}x{rows}, but the output is {width}x{height}")
    return _untouched(frame.native, form) or _encode(frame, form)


def open_handed_on(path: str | os.PathLike, kind: str, options: dict[str, str] | None = None) -> OutputContainer:
    """Open an output of FFmpeg's format `kind` that takes all streams that its muxer takes. Chapters are left out.

    `av.open` checks a list of codecs first, and some are missing from it. FFmpeg's muxer "tee" has no such list. It
    hands everything except chapters on to another muxer.
    """
    settings = ":".join(f"{key}={value}" for key, value in {"f": kind, **(options or {})}.items())
    place = re.sub(r"([\\'|\s])", r"\\\1", str(Path(path).absolute()))
    return av.open(f"[{settings}]{place}", "w", format=HANDED_ON, metadata_errors="replace")


def tag_colour(context: VideoCodecContext, form: Format) -> None:
    """Set the colour tags of an encoder or a stream."""
    is_rgb = VideoFormat(form.pixel_format).is_rgb
    context.colorspace = RGB if is_rgb else form.colour.matrix
    context.color_range = ColorRange.JPEG if is_rgb or form.colour.is_full else ColorRange.MPEG
    context.color_primaries, context.color_trc = form.colour.primaries, form.colour.transfer
    if form.aspect:
        context.sample_aspect_ratio = form.aspect


@contextlib.contextmanager
def naming_failures(path: str | os.PathLike) -> Iterator[None]:
    """Raise OSError with the path if the library cannot write it."""
    try:
        yield
    except av.FFmpegError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from error


def try_encoder(form: Format) -> None:
    """Encode one black frame, and write it nowhere.

    Raises:
        ValueError: the encoder does not take this size, pixel format or option, or cannot be opened on this machine.
    """
    height, width = form.size
    words: list[str] = []
    try:
        with own_words(words), av.open("nothing", "w", format="null") as container:
            writer = SegmentWriter(container, form)
            writer.write(Frame(np.zeros((height, width, 3), np.uint8), Fraction(0), "black"))
            check_used(form.encoder, dict(form.options), writer.unused)
            writer.finish()
    except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        reason = getattr(error, "strerror", None) or f"this build of PyAV has no {form.encoder}"
        said, others = ": ".join((reason, *words[:1])), describe_encoders(but=form.encoder)
        raise ValueError(
            f"{form.encoder} cannot store {width}x{height} {form.pixel_format} ({said}); "
            f"try another --codec or --encoder: {others}"
        ) from error


def _encode(frame: Frame, form: Format) -> VideoFrame:
    """Return a frame in the output's pixel format."""
    image = frame.image
    if frame.alpha is not None and form.encoder != LOSSLESS:
        image = fill(image, frame.alpha)
    return encode_picture(image, form.pixel_format, form.colour, frame.alpha if form.has_alpha else None)


def _untouched(native: VideoFrame | None, form: Format) -> VideoFrame | None:
    """Return the frame as it was decoded, or with another layout of its planes; None if a pixel would change."""
    if native is None or (native.height, native.width) != form.size:
        return None
    target, source = VideoFormat(form.pixel_format), native.format
    is_full = native.color_range == ColorRange.JPEG or source.name.startswith("yuvj")
    has_range = not source.is_rgb and len(source.components) >= 3
    if is_transparent(target) and not is_transparent(source):
        return None
    if _layout(source) != _layout(target) or (has_range and is_full != form.colour.is_full):
        return None
    matrix, range_ = MATRICES[form.colour.matrix], ColorRange.JPEG if is_full else ColorRange.MPEG
    return native.reformat(
        format=form.pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=range_,
        dst_color_range=range_,
    )


def _layout(pixel_format: VideoFormat) -> tuple:
    """Return properties of a pixel format. Formats with equal ones can be converted bit for bit."""
    shape = [(part.width, part.height) for part in VideoFormat(pixel_format.name, 64, 64).components]
    return pixel_format.is_rgb, pixel_format.has_palette, depth(pixel_format), tuple(shape[:3])
