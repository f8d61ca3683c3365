"""Make a GIF or APNG from lossless segments, frame by frame, in two passes."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from av.filter import Graph
from av.video.frame import VideoFrame

from ..read.deinterlace import pulled
from ..read.probe import open_media
from .segments import Format

STORED = {"bgr0": "rgb24", "gbrp16le": "rgb48be", "bgra": "rgba"}  # pixel formats of segments, and of their APNG
CENTISECOND = Fraction(1, 100)  # the unit of a GIF


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
    times = [round(time / unit) for time in _times(segments)]
    end = end if end is not None else times[-1] * unit + 1 / form.rate
    last = max(round(end / unit) - times[-1], 1)
    loop = {"loop": "0"} if is_gif else {"plays": "0"}
    final = str(last) if is_gif else f"{(last * unit).numerator}/{(last * unit).denominator}"
    options = {"fflags": "+bitexact", "final_delay": final, **loop}
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
