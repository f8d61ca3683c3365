"""Make the frames of an output, in this process, in workers, or in several processes.

Decoding and encoding run at the same time, in threads. The output is made in segments: stretches of consecutive frames
that are encoded on their own. The processes of a run share the segments out among them.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch.distributed as dist

from utils import Process

from .options import ENCODING, Options
from .read.images import write_picture
from .read.pipes import claimed_output
from .read.source import Source
from .render.network import Network
from .render.pipeline import Made, Way, render
from .render.threads import Behind, ahead, choose_workers
from .render.workers import Workers
from .schedule.timeline import Timeline, plan
from .write.job import Job, Record, Sink, shown
from .write.pixels import Y4mWriter, y4m_format
from .write.segments import Format

logger = logging.getLogger("waveletvfi")

OnProgress = Callable[[int, int | None], None]
PAUSE = 1  # seconds between looks at what other processes have finished

T = TypeVar("T")
PATIENCE = timedelta(days=30)  # a segment may take any time


class Group:
    """The processes of a run, or a single one without `process`. All processes must create a group."""

    def __init__(self, process: Process | None = None):
        self.rank, self.size = (process.rank, process.world_size) if process else (0, 1)
        # gloo, as NCCL gives up waiting after ten minutes
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE) if self.size > 1 else None

    def owns(self, segment: int) -> bool:
        """Return True if this process makes a segment."""
        return segment % self.size == self.rank

    def gather(self, value: T) -> list[T]:
        """Wait until all processes are here. Return what each of them gave, in their order."""
        values = [value] * self.size
        if self._group is not None:
            dist.all_gather_object(values, value, group=self._group)
        return values

    def once(self, action: Callable[[], None]) -> None:
        """Wait until all processes are here, and let the first one act while the others wait.

        A ValueError or OSError of it is raised in all.
        """
        if self._group is None:
            action()
            return
        dist.barrier(self._group)
        failure: list[Exception | None] = [None]
        if self.rank == 0:
            try:
                action()
            except (ValueError, OSError) as error:
                failure = [error]
        dist.broadcast_object_list(failure, src=0, group=self._group)
        if failure[0] is not None:
            raise failure[0]


class Task(NamedTuple):
    """One conversion, from the frames on.

    source: the input's frames.
    timeline: times of the output's frames.
    network: the network that makes frames.
    options: options of the conversion.
    on_progress: called with the number of frames made, and the expected number.
    workers: processes that run the network, or one that stands for this process.
    """

    source: Source
    timeline: Timeline
    network: Network
    options: Options
    on_progress: OnProgress
    workers: Workers

    def total(self) -> int | None:
        """Return the expected number of frames; None if the input does not say."""
        total = self.source.total
        return total and self.timeline.total(total, self.source.reader.rate)

    def way(self, missing: int | None, *, is_alone: bool) -> Way | None:
        """Return the function that makes frames for `render`; None if this process makes them.

        Args:
            missing: number of frames to make; None if unknown.
            is_alone: True if no other process of a run shares the work.
        """
        count = self.workers.count
        if count is None:
            can_share = is_alone and self.network.device.type == "cpu"
            size, rate = self.source.reader.size, self.timeline.rate(self.source.reader.rate)
            count = choose_workers(missing, size, tile=self.options.tile, rate=rate) if can_share else 1
        return self.workers.start(count) if count > 1 else None


def make_middle(source: Source, network: Network, output: Path) -> Record:
    """Make the frame between two images, as an image."""
    timeline, record = Timeline(multiplier=2), Record()
    spans = plan(source.frames(), timeline, until=source.until)
    _, made, *_ = render(spans, network, 1)
    write_picture(output, made.frame.image, made.frame.alpha)
    record.add(made)
    return record


def make_segments(task: Task, form: Format, job: Job, group: Group) -> None:
    """Make all segments that belong to this process and do not exist yet."""
    with Sink(job, form, compare=task.options.compare) as sink:
        make_frames(
            task,
            sink.write,
            done=job.frames(group.owns),
            others=(lambda: job.frames(lambda segment: not group.owns(segment))) if group.size > 1 else None,
            is_wanted=lambda segment: job.is_missing(segment) and group.owns(segment),
        )


def stream(task: Task) -> Record:
    """Write all frames into standard output."""
    source, timeline, _, options, *_ = task
    form = y4m_format(
        source.reader, rate=timeline.rate(source.reader.rate), columns=1 + options.compare,
        given=[name for name in ENCODING if getattr(options, name) is not None],
    )  # fmt: skip
    record = Record()
    with claimed_output() as pipe:
        writer = Y4mWriter(pipe, form)

        def write(made: Made) -> None:
            record.add(made)
            writer.write(shown(made, compare=options.compare))

        make_frames(task, write, pipe.close)
    return record


def make_frames(
    task: Task,
    write: Callable[[Made], None],
    stop: Callable[[], None] = lambda: None,
    *,
    done: int = 0,
    others: Callable[[], int] | None = None,
    is_wanted: Callable[[int], bool] = lambda segment: True,
) -> None:
    """Make the frames of all segments that are to be made. Decoding and encoding run at the same time, in threads.

    Args:
        task: the conversion.
        write: takes the frames in order.
        stop: wakes a `write` that waits, after an error.
        done: number of frames that exist already.
        others: counts the frames that other processes of this run have finished. Default: there are no others.
        is_wanted: returns True if a segment is to be made.
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
        Behind(write, let_go=stop) as encoder,
        contextlib.closing(ahead(spans, let_go=source.reader.close)) as waiting,
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


@contextlib.contextmanager
def keeping(job: Job, group: Group, *, is_once: bool) -> Iterator[None]:
    """If the block fails, say that the finished segments are kept.

    They are removed if none is finished, or if the source can be read only once.
    """
    try:
        yield
    except BaseException:
        finished = 0 if is_once else len(job.records())
        if finished and group.rank == 0:
            logger.warning("%s keeps what is finished; --resume continues there", job.folder)
        elif not finished and group.size == 1:
            job.remove()
        raise
