"""Frames into segments, each with its record when it is complete."""

import contextlib
from typing import Protocol

from .frame import Frame, side_by_side
from .job import Job
from .pipeline import Made
from .segments import Format, segment_files, segment_writer
from .summary import Record


class Writer(Protocol):
    """Takes the frames of an output in their order."""

    def write(self, frame: Frame) -> None:
        """The next one."""


class StreamSink:
    """Hands frames on at once, to a writer that keeps none. record: of all of them."""

    def __init__(self, writer: Writer, *, compare: bool = False):
        """compare: as of `Sink`."""
        self._writer, self._compare = writer, compare
        self.record = Record()

    def write(self, made: Made) -> None:
        """The next frame of the output."""
        self.record.add(made)
        self._writer.write(_shown(made, self._compare))


class Sink:
    """Writes frames into the segments they belong to. As a context: an error drops the segment that is not complete."""

    def __init__(self, job: Job, form: Format, *, compare: bool = False):
        """compare: put the source's frame, as it is shown at that time, to the left of each."""
        self._job, self._format, self._compare = job, form, compare
        self._segment: int | None = None
        self._open = contextlib.ExitStack()

    def write(self, made: Made) -> None:
        """The next frame of the output."""
        if made.span.segment != self._segment:
            self._finish()
            self._first = made.slot.number
            writer = segment_writer(self._job.folder, made.span.segment, self._format, first=self._first)
            self._writer = self._open.enter_context(writer)
            self._segment, self._record = made.span.segment, Record()
        self._record.add(made)
        self._writer.write(_shown(made, self._compare))

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._finish()
        else:
            self._open.__exit__(*error)

    def _finish(self) -> None:
        if self._segment is not None:
            self._open.close()
            place = {"first": self._first, "count": self._record.frames}
            files = segment_files(self._job.folder, self._segment, self._format, **place)
            self._job.finish(self._segment, self._record, files)
            self._segment = None


def _shown(made: Made, compare: bool) -> Frame:
    return side_by_side(made.span.frame0, made.frame) if compare else made.frame
