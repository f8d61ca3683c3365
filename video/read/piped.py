"""Read a video that comes through a pipe: once, from its beginning, without keeping all of it in memory."""

import copy
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from utils import STRANGE_HEAD, describe_strange_head

from .damage import PIPED, Damage, missing_in_pipe
from .decode import Decoded, Pictures
from .deinterlace import deinterlace
from .files import INPUT, PipeIn
from .reader import BROWSERS, VideoReader

AT_ONCE = 2**20  # bytes that the demuxer asks for
INDEXED = b"ftyp"  # containers of this family, mp4 and mov, may have their index at the end


class PipeReader(VideoReader):
    """A `VideoReader` for a pipe. It has the same attributes. `frames` can be called once, and reads everything."""

    has_places = False

    def __init__(self, pipe: PipeIn, *, is_interlaced: bool = False, by_field: bool = False, keeps_alpha: bool = False):
        """Read up to the first picture. The options are those of `VideoReader`.

        Raises:
            ValueError: the input is not a video, or cannot be read without going back.
        """
        self.path = Path(INPUT)
        self.paths: list[Path] = []
        self._first_time = None
        self._is_deinterlaced, self._keeps_alpha = is_interlaced or by_field, keeps_alpha
        self._pipe, self._damage = pipe, Damage()
        with self._naming():
            self._container = av.open(pipe, buffer_size=AT_ONCE, metadata_errors="replace", container_options=BROWSERS)
        self._video, decoder = self._find(self._container)
        self._learn_times(self._container, self._video)
        self._count_fields(by_field=by_field)
        self._all = Pictures(
            self._container, self._video, self.coded_rate, self._damage, self.path, decoder, is_pipe=True
        )
        pictures, first = iter(self._all), None
        with self._naming():
            first = next(pictures, None)
        if first is None:
            raise ValueError(f"{self.path} is truncated or corrupt: no frame can be decoded{self._advice()}")
        self._learn_picture(self._container, self._video, first.picture)
        self._pictures = itertools.chain([first], pictures)

    def keep_rest(self, folder: Path) -> VideoReader | None:
        """Keep the other streams in `folder`, for as long as the frames are read.

        Returns:
            A reader from which sound, subtitles and metadata can be copied afterwards; None if there can be none.
        """
        if PIPED in self._kinds:
            self._pipe.keep(None)
            return None
        kept = copy.copy(self)
        kept.path = folder / INPUT
        self._pipe.keep(kept.path)
        return kept

    def frames(self, *, start: Fraction | None = None) -> Iterator:
        """Read all frames in order. Raises the errors of `VideoReader.frames`, and ValueError for a `start`."""
        if start is not None:
            raise ValueError(f"{self.path} is read from its beginning, not from {start} s on")
        self._pipe.keep(None)
        return super().frames()

    def close(self) -> None:
        """Stop reading. A thread that waits for the next bytes gets none."""
        self._pipe.close()

    def _new_damage(self) -> Damage:
        return self._damage

    def _describe_stranger(self) -> str:
        return describe_strange_head(self._pipe.head[:STRANGE_HEAD])

    def _advice(self) -> str:
        is_indexed = self._pipe.head[4:8] == INDEXED
        return "; the index of an mp4 may be at its end: give the file's name, or pipe Matroska" if is_indexed else ""

    def _decode(self, start: Fraction | None, damage: Damage) -> Iterator[Decoded]:
        try:
            with self._container:
                pictures = self._pictures
                yield from deinterlace(pictures, period=self._period) if self._is_deinterlaced else pictures
                self._end_of(self._all, self._container, self._video, damage, is_all=True)
        finally:
            self._pipe.flush()  # also if the rest is not read

    def _missing(self, pictures: Pictures) -> str:
        pipe = self._pipe
        return missing_in_pipe(self._kinds, head=pipe.head, tail=pipe.tail, count=pipe.count, reached=pictures.reached)
