"""The frames of an output: made by this process, with workers or without, beside decoding and encoding."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .background import Behind, ahead, stopping_on_failure
from .capacity import choose_workers
from .images import write_picture
from .job import Job
from .network import Network
from .options import ENCODING, Options
from .pipeline import Way, render
from .pipes import claimed_output
from .plan import plan
from .processes import Group
from .segments import Format
from .sink import Sink, StreamSink
from .source import Source
from .summary import Record
from .timeline import Timeline
from .workers import Workers
from .y4m import Y4mWriter, y4m_format

OnProgress = Callable[[int, int | None], None]
PAUSE = 1  # seconds between looks at what other processes have finished


class Task(NamedTuple):
    """One conversion, from the frames on. workers: None where this process makes all."""

    source: Source
    timeline: Timeline
    network: Network
    options: Options
    on_progress: OnProgress
    workers: Workers | None = None

    def total(self) -> int | None:
        """Return the expected number of frames, None if the input does not say."""
        total = self.source.total
        return total and self.timeline.total(total, self.source.reader.rate)

    def way(self, missing: int | None, *, is_alone: bool) -> Way | None:
        """Return how frames are made, see `render`.

        Args:
            missing: how many, None where that is not known. is_alone: no other processes share the work.
        """
        if self.workers is None:
            return None
        count = self.workers.count
        if count is None:
            can_share = is_alone and self.network.device.type == "cpu"
            size, rate = self.source.reader.size, self.timeline.rate(self.source.reader.rate)
            count = choose_workers(missing, size, tile=self.options.tile, rate=rate) if can_share else 1
        return self.workers.start(count) if count > 1 else None


def make_middle(source: Source, network: Network, output: Path) -> Record:
    """The frame between two images, as an image."""
    timeline, record = Timeline(multiplier=2), Record()
    spans = plan(source.frames(), timeline, until=source.until)
    _, made, *_ = render(spans, network, 1)
    write_picture(output, made.frame.image, made.frame.alpha)
    record.add(made)
    return record


def make_segments(task: Task, form: Format, job: Job, group: Group) -> None:
    """All segments that are this process's and not there yet."""
    with Sink(job, form, compare=task.options.compare) as sink:
        make_frames(
            task,
            sink,
            done=job.frames(group.owns),
            others=(lambda: job.frames(lambda segment: not group.owns(segment))) if group.size > 1 else None,
            is_wanted=lambda segment: job.is_missing(segment) and group.owns(segment),
        )


def stream(task: Task) -> Record:
    """All frames, into standard output."""
    source, timeline, _, options, *_ = task
    form = y4m_format(
        source.reader, rate=timeline.rate(source.reader.rate), columns=1 + options.compare,
        given=[name for name in ENCODING if getattr(options, name) is not None],
    )  # fmt: skip
    with claimed_output() as pipe:
        sink = StreamSink(Y4mWriter(pipe, form), compare=options.compare)
        make_frames(task, sink, pipe.close)
    return sink.record


def make_frames(
    task: Task,
    sink: Sink | StreamSink,
    stop: Callable[[], None] = lambda: None,
    *,
    done: int = 0,
    others: Callable[[], int] | None = None,
    is_wanted: Callable[[int], bool] = lambda segment: True,
) -> None:
    """Make the frames of all segments that are wanted; decoding and encoding run beside the network.

    stop: lets a `sink` that waits go on, when nothing that it has is wanted any more. done: frames that are there.
    others: counts the frames that other processes of this run have finished; None: there are no others.
    """
    source, timeline, network, options, on_progress, _ = task
    total, theirs, looked = task.total(), others() if others else 0, time.monotonic()
    spans = plan(
        source.frames(),
        timeline,
        until=source.until,
        threshold=options.scene_threshold,
        drop_duplicates=options.drop_duplicates,
        is_wanted=is_wanted,
    )
    on_progress(done + theirs, total)
    depth = options.depth or timeline.halvings(source.reader.rate)
    way = task.way(total and total - done, is_alone=others is None)
    with (
        Behind(sink.write) as encoder,
        contextlib.closing(ahead(spans, let_go=source.reader.close)) as waiting,
        stopping_on_failure(stop),
        contextlib.closing(render(waiting, network, depth, way)) as rendered,
    ):
        for made in rendered:
            encoder.put(made)
            done += 1
            if others and time.monotonic() - looked > PAUSE:
                theirs, looked = others(), time.monotonic()
            on_progress(done + theirs if total is None else min(done + theirs, total), total)
    if others is None:
        on_progress(done, done)
