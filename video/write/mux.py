"""Join segments into the output. The file appears under its name only after it is complete.

Packets of videos are copied. A GIF or APNG is made from lossless segments, frame by frame, in two passes.
"""

import contextlib
import errno
import heapq
import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet, PacketSideData
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from utils import atomic_path

from ..read.deinterlace import pulled
from ..read.probe import open_media
from .carried import Carried, Written, cut_more, missing, span
from .codecs import ANIMATIONS
from .segments import FRAMES, QUICK_TIME, SEGMENT, Format, naming_failures, open_handed_on, tag_colour
from .streams import MATROSKA, Carrier, is_unlisted

# Errors of writing. Any other error comes from a carried packet, and its loss does not end the work.
OF_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EPIPE, errno.EBADF, errno.ENOMEM}
# VP9 has alpha in side data of its packets: an identifier, which is always 1, and a picture. FFmpeg's reader of
# segments adds the identifier a second time.
BESIDE, IDENTIFIER = "matroska_block_additional", (1).to_bytes(8, "big")
BESIDE_NUMBER = 15  # FFmpeg's number of that kind
STORED = {"bgr0": "rgb24", "gbrp16le": "rgb48be", "bgra": "rgba"}  # pixel formats of segments, and of their APNG
CENTISECOND = Fraction(1, 100)  # the unit of a GIF

logger = logging.getLogger("waveletvfi")


def join(
    folder: Path, form: Format, output: Path, *, carried: Carried | None = None, end: Fraction | None = None
) -> str | None:
    """Join all segments in a folder into the output.

    Its bytes do not depend on the order in which segments were made, or on the processes that made them.

    Args:
        folder: folder of the segments.
        form: format of the output.
        output: the file, or the folder of PNG files.
        carried: source whose sound, subtitles, chapters, metadata, attachments and cover are copied. Default: none.
        end: end of the picture in seconds. Default: one period after the last frame.
    Returns:
        A description of what is left out of the source because the output could not be closed with it, or None.
    Raises:
        OSError: there is no space or no permission. An existing output is unchanged.
        ValueError: there are no segments, or they do not belong together.
    """
    if not form.suffix:
        if output.is_dir():
            output.rmdir()  # `check_output` has found it empty
        (folder / FRAMES).rename(output)
        return None
    segments = sorted(folder.glob(f"[0-9]*{SEGMENT}"))
    if not segments:
        raise ValueError(f"{folder} holds no finished segment")
    with atomic_path(output) as temporary, naming_failures(output):
        if form.suffix in ANIMATIONS:
            animate(segments, form, temporary, end=end)
            return None
        return _mux(segments, form, temporary, end, carried)


def _mux(segments: list[Path], form: Format, output: Path, end: Fraction | None, carried: Carried | None) -> str | None:
    """Write all segments and the carried streams.

    If the output cannot be closed, write it again with fewer carried streams. Describe the loss; None if there is none.
    """
    lost, kinds = None, set()
    written: dict[int, Written] = {}
    while True:
        try:
            _write(segments, form, output, end, carried, written)
            return lost or missing(output, written)
        except av.FFmpegError as error:
            cut = None if carried is None or error.errno in OF_DISK else cut_more(carried.cut, written)
            if cut is None:
                raise
            kinds |= {stream.kind for stream in written.values()}
            carried, lost = carried._replace(cut=cut, is_said=True), cut.describe(kinds, error.strerror)


def _write(
    segments: list[Path],
    form: Format,
    output: Path,
    end: Fraction | None,
    carried: Carried | None,
    written: dict[int, Written],
) -> None:
    """Write the output once. `written` receives the extent of each stream that the muxer was given."""
    options = {"fflags": "+bitexact"}  # write nothing random and no date
    if form.suffix in QUICK_TIME:
        options["movflags"] = "+faststart"
    damaged = 0
    written.clear()
    with contextlib.ExitStack() as stack:
        if carried is not None and carried.stretch == 1 and is_unlisted(carried.source.path, form.suffix):
            container = stack.enter_context(open_handed_on(output, MATROSKA, options))
        else:
            container = stack.enter_context(open_media(output, "w", container_options=options))
        video = _add_picture(container, segments[0], form)
        streams = [_pictures(segments, form, video, end)]
        if carried is not None:
            carrier = stack.enter_context(contextlib.closing(Carrier(carried, container)))
            streams.append(carrier.packets(end))
        container.start_encoding()
        for packet in heapq.merge(*streams, key=lambda packet: packet.dts * packet.time_base):
            index, begin, stop = packet.stream.index, packet.dts * packet.time_base, span(packet)[1]
            first = written[index].first if index in written else begin
            try:
                container.mux(packet)
                written[index] = Written(packet.stream.type, first, begin, stop)
            except av.FFmpegError as error:
                if carried is None or error.errno in OF_DISK:
                    raise
                damaged += 1
    if damaged:
        logger.warning("%s: %d damaged packets of sound or subtitles left out", carried.source.path, damaged)


def _add_picture(container: OutputContainer, segment: Path, form: Format) -> VideoStream:
    with open_media(segment) as first:
        source = first.streams.video[0]
        video = container.add_stream_from_template(source, opaque=True)
        if source.codec_context.name == "prores":
            video.codec_context.codec_tag = source.codec_context.codec_tag  # nothing else names its profile
    video.time_base = form.unit
    video.codec_context.framerate = form.rate
    tag_colour(video.codec_context, form)
    if form.has_alpha and form.encoder == "libvpx-vp9":
        video.metadata["alpha_mode"] = "1"
    if form.suffix in QUICK_TIME and form.encoder == "libx265":
        video.codec_context.codec_tag = "hvc1"  # Apple's players need this tag
    return video


def _pictures(segments: list[Path], form: Format, video: VideoStream, end: Fraction | None) -> Iterator[Packet]:
    """Yield the packets of all segments in decoding order, with decoding times and durations as in a single stream.

    Encoders of single segments know neither the segment before nor the one after.
    """
    headers, reorder, before = None, 0, []
    contents = ((path, *_read(path, form)) for path in segments)
    current = next(contents)
    while current is not None:
        path, header, delay, packets = current
        current = next(contents, None)
        times = sorted(packet.pts for packet in packets)
        if headers is None:
            headers, reorder, period = header, delay, round(1 / form.rate / form.unit)
            before = [times[0] - period * (reorder - k) for k in range(reorder)]
        if header != headers or delay != reorder:
            raise ValueError(f"{path} was encoded in another way than the segments before; start again")
        after = min(packet.pts for packet in current[3]) if current else _end(times[-1], form, end)
        lasts = dict(zip(times, [*times[1:], after], strict=True))
        decoded = before + times
        for packet, dts in zip(packets, _late(packets, decoded, reorder * period), strict=True):
            packet.dts, packet.duration, packet.stream = dts, lasts[packet.pts] - packet.pts, video
            if packet is packets[-1] and current is None:  # readers of mp4 take its end for that of the stream
                packet.duration = max(packet.duration, after - reorder * period - dts)
            yield packet
        before = decoded[len(times) :]


def _late(packets: list[Packet], decoded: list[int], delay: int) -> list[int]:
    """Return decoding times, at most `delay` before this packet or a later one is shown.

    Otherwise, if frames have unequal durations, the last packets would end long before the last frame.
    """
    earliest, shown = [], packets[-1].pts
    for packet in reversed(packets):
        shown = min(shown, packet.pts)
        earliest.append(shown - delay)
    late, last = [], decoded[0] - 1
    for dts, least in zip(decoded, reversed(earliest), strict=False):
        last = max(dts, least, last + 1)
        late.append(last)
    return late


def _read(segment: Path, form: Format) -> tuple[bytes, int, list[Packet]]:
    """Read a segment. Return its codec header, the number of frames by which it is reordered, and its packets.

    Times of packets are in the format's unit.
    """
    with open_media(segment) as container:
        context = container.streams.video[0].codec_context
        packets = [packet for packet in container.demux(video=0) if packet.size]
        for packet in packets:
            packet.pts = round(packet.pts * packet.time_base / form.unit)
            packet.time_base = form.unit
            _mend_beside(packet)
        return bytes(context.extradata or b""), context.reorder_depth, packets


def _mend_beside(packet: Packet) -> None:
    beside = bytes(packet.get_sidedata(BESIDE)) if packet.has_sidedata(BESIDE) else b""
    if beside.startswith(2 * IDENTIFIER):  # a picture does not begin with zeros
        mended = PacketSideData(BESIDE_NUMBER, len(beside) - len(IDENTIFIER))
        mended.update(beside[len(IDENTIFIER) :])
        packet.set_sidedata(mended)


def _end(last: int, form: Format, end: Fraction | None) -> int:
    """Return the end of the last frame, in the format's unit."""
    return last + round(1 / form.rate / form.unit) if end is None else max(round(end / form.unit), last + 1)


def animate(segments: list[Path], form: Format, output: Path, *, end: Fraction | None = None) -> None:
    """Write the frames of all segments as a moving image that repeats forever.

    A GIF gets one palette of 256 colours, which is chosen from all frames.

    Args:
        segments: files of the segments, in order.
        form: format of the output.
        output: the file to write.
        end: end of the last frame in seconds. Default: one period after its beginning.
    """
    is_gif = form.suffix == ".gif"
    unit = CENTISECOND if is_gif else form.unit
    ticks = (round(time / unit) for time in _times(segments))
    times = list(accumulate(ticks, lambda last, tick: max(tick, last + 1)))  # a GIF may round two to one tick
    end = end if end is not None else times[-1] * unit + 1 / form.rate
    last = max(round(end / unit) - times[-1], 1)
    final = str(last) if is_gif else f"{(last * unit).numerator}/{(last * unit).denominator}"
    options = {"fflags": "+bitexact", "final_delay": final, "loop" if is_gif else "plays": "0"}
    with open_media(output, "w", format=form.suffix[1:], container_options=options) as container:
        stream = container.add_stream(form.suffix[1:], rate=form.rate)
        stream.height, stream.width = form.size
        stream.pix_fmt = "pal8" if is_gif else STORED[form.pixel_format]
        stream.codec_context.time_base = unit
        frames = _with_palette(segments) if is_gif else _frames(segments)
        for frame, time in zip(frames, times, strict=True):
            picture = frame.reformat(format=stream.pix_fmt)
            picture.pts, picture.time_base = time, unit
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _times(segments: list[Path]) -> Iterator[Fraction]:
    """Yield the times of all frames, in seconds."""
    for segment in segments:
        with open_media(segment) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    yield packet.pts * packet.time_base


def _frames(segments: list[Path]) -> Iterator[VideoFrame]:
    for segment in segments:
        with open_media(segment) as container:
            yield from container.decode(video=0)


def _with_palette(segments: list[Path]) -> Iterator[VideoFrame]:
    """Yield the frames in 256 colours, which are chosen in a first pass over all frames."""
    (palette,) = _filter(_frames(segments), "palettegen")
    yield from _filter(_frames(segments), "paletteuse", palette)


def _filter(frames: Iterator[VideoFrame], name: str, second: VideoFrame | None = None) -> Iterator[VideoFrame]:
    """Apply FFmpeg's filter `name` to the frames. `second` is its second input."""
    graph = inputs = None
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base = index, Fraction(1, 25)
        if graph is None:
            graph = Graph()
            operation, sink = graph.add(name), graph.add("buffersink")
            inputs = [
                graph.add_buffer(width=f.width, height=f.height, format=f.format, time_base=Fraction(1, 25))
                for f in (frame, second)
                if f is not None
            ]
            for position, source in enumerate(inputs):
                source.link_to(operation, 0, position)
            operation.link_to(sink)
            graph.configure()
            if second is not None:
                second.pts, second.time_base = 0, Fraction(1, 25)
                inputs[1].push(second)
                inputs[1].push(None)
        inputs[0].push(frame)
        yield from pulled(sink)
    inputs[0].push(None)
    yield from pulled(sink)
