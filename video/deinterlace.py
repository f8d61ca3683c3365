"""Whole frames from interlaced ones, by FFmpeg's filter bwdif: as many, at the same times."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction

from av.error import BlockingIOError, EOFError
from av.filter import Graph
from av.video.frame import VideoFrame

from .decode import Decoded

SMALLEST = 4  # lines and columns: bwdif takes no fewer
UNIT = Fraction(1, 25)  # of the filter's clock, which only numbers the frames


def deinterlace(pictures: Iterator[Decoded]) -> Iterator[Decoded]:
    """Every picture with its missing lines made anew. Those that are not marked as interlaced stay as they are, unless
    the first one is not: then all are taken as interlaced. Frames across a gap do not mix."""
    filter_: _Filter | None = None
    for decoded in pictures:
        picture = decoded.picture
        layout = (picture.width, picture.height, picture.format.name)
        if min(layout[:2]) < SMALLEST:
            yield decoded
            continue
        if filter_ is None:
            only_marked = picture.interlaced_frame
        if filter_ is None or decoded.is_after_gap or layout != filter_.layout:
            if filter_ is not None:
                yield from filter_.finish()
            filter_ = _Filter(picture, only_marked=only_marked)
        yield from filter_.push(decoded)
    if filter_ is not None:
        yield from filter_.finish()


class _Filter:
    """One run of the filter."""

    def __init__(self, first: VideoFrame, *, only_marked: bool):
        self.layout = (first.width, first.height, first.format.name)
        self._graph = Graph()
        self._input = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=UNIT
        )
        kind = "interlaced" if only_marked else "all"
        nodes = [
            self._input,
            self._graph.add("bwdif", f"mode=send_frame:deint={kind}"),
            *([] if first.format.has_palette else [self._graph.add("format", f"pix_fmts={first.format.name}")]),
            self._graph.add("buffersink"),
        ]
        self._graph.link_nodes(*nodes).configure()
        self._sink = nodes[-1]
        self._waiting: deque[Decoded] = deque()
        self._count = 0

    def push(self, decoded: Decoded) -> Iterator[Decoded]:
        """Give it a picture; gives those that are ready."""
        decoded.picture.pts, decoded.picture.time_base = self._count, UNIT
        self._count += 1
        self._waiting.append(decoded)
        self._input.push(decoded.picture)
        return self._ready()

    def finish(self) -> Iterator[Decoded]:
        """Those that are left."""
        self._input.push(None)
        return self._ready()

    def _ready(self) -> Iterator[Decoded]:
        while self._waiting:
            try:
                picture = self._sink.pull()
            except (BlockingIOError, EOFError):
                return
            yield self._waiting.popleft()._replace(picture=picture)
