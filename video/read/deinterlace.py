"""Make whole frames from interlaced ones with FFmpeg's filter bwdif: one per frame, or one per field."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction

from av.error import BlockingIOError, EOFError
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from .decode import Decoded

SMALLEST = 4  # fewest lines and columns that bwdif takes
UNIT = Fraction(1, 25)  # unit of the filter's clock, which only numbers frames


def deinterlace(pictures: Iterator[Decoded], *, period: Fraction | None = None) -> Iterator[Decoded]:
    """Yield every picture with its missing lines interpolated.

    If the first picture is marked as interlaced, unmarked ones stay as they are. If it is not marked, all are taken as
    interlaced. Pictures on different sides of a gap are not mixed.

    Args:
        pictures: the decoded pictures.
        period: seconds from one picture to the next; makes one picture of each field. The second one comes half way to
            the next picture, or half a period later if there is none. Default: make one picture of both fields.
    """
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
            filter_ = _Filter(picture, only_marked=only_marked, period=period)
        yield from filter_.push(decoded)
    if filter_ is not None:
        yield from filter_.finish()


def pulled(sink: FilterContext) -> Iterator[VideoFrame]:
    """Yield the frames that a filter has ready."""
    while True:
        try:
            yield sink.pull()
        except (BlockingIOError, EOFError):
            return


class _Filter:
    """One run of the filter."""

    def __init__(self, first: VideoFrame, *, only_marked: bool, period: Fraction | None):
        self.layout = (first.width, first.height, first.format.name)
        self._graph = Graph()
        self._input = self._graph.add_buffer(
            width=first.width, height=first.height, format=first.format, time_base=UNIT
        )
        kind = "interlaced" if only_marked else "all"
        mode = "send_frame" if period is None else "send_field"
        nodes = [
            self._input,
            self._graph.add("bwdif", f"mode={mode}:deint={kind}"),
            *([] if first.format.has_palette else [self._graph.add("format", f"pix_fmts={first.format.name}")]),
            self._graph.add("buffersink"),
        ]
        self._graph.link_nodes(*nodes).configure()
        self._sink = nodes[-1]
        self._waiting: deque[Decoded] = deque()
        self._period = period
        self._count = self._done = 0  # number of pictures in; number of these that were yielded or begun

    def push(self, decoded: Decoded) -> Iterator[Decoded]:
        """Put a picture in. Yield the pictures that are ready."""
        decoded.picture.pts, decoded.picture.time_base = self._count, UNIT
        self._count += 1
        self._waiting.append(decoded)
        self._input.push(decoded.picture)
        return self._ready()

    def finish(self) -> Iterator[Decoded]:
        """Yield the pictures that are left."""
        self._input.push(None)
        return self._ready()

    def _ready(self) -> Iterator[Decoded]:
        for picture in pulled(self._sink):
            if self._period is None:
                yield self._waiting.popleft()._replace(picture=picture)
                continue
            number, field = divmod(round(picture.pts * picture.time_base / UNIT * 2), 2)
            while self._done < number:
                self._waiting.popleft()
                self._done += 1
            yield self._at_field(field)._replace(picture=picture)

    def _at_field(self, field: int) -> Decoded:
        """Return the first picture that waits, with the time of one of its fields, 0 (the earlier one) or 1."""
        decoded, following = self._waiting[0], self._waiting[1] if len(self._waiting) > 1 else None
        if decoded.time is None or following is None or following.time is None:
            half = self._period / 2
        else:
            half = (following.time - decoded.time) / 2
        lasts = None if decoded.lasts is None else decoded.lasts / 2
        if not field:
            return decoded._replace(lasts=lasts)
        time = None if decoded.time is None else decoded.time + half
        return decoded._replace(time=time, lasts=lasts, is_after_gap=False)
