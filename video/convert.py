"""A file, a folder or two images in, the interpolated one out: all of `interpolate.py`, for other programs too."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch

from utils import Process

from .background import Behind, ahead, stopping_on_failure
from .carry import rehearse
from .checks import check_options
from .codecs import choose_format, is_video
from .images import is_image, write_picture
from .job import Job
from .mux import join
from .network import Model, Network
from .options import DEFAULTS, Options
from .outputs import check_output
from .piped import PipeReader
from .pipeline import render
from .pipes import OUTPUT, check_pipes, claimed_output, is_pipe
from .plan import SEGMENT, plan
from .processes import Group
from .reader import VideoReader
from .segments import Format
from .sink import Sink, StreamSink
from .source import Source
from .sources import open_reader
from .summary import Record, Summary, summarise
from .timeline import Timeline
from .y4m import Y4mWriter, y4m_format

logger = logging.getLogger("waveletvfi")

ENCODING = ("codec", "crf", "preset", "encoder", "encoder_options")  # options of `choose_format`
OnProgress = Callable[[int, int | None], None]


def convert(
    inputs: Sequence[Path],
    output: Path,
    model: Model,
    options: Options = DEFAULTS,
    *,
    device: torch.device | str = "cpu",
    resume: bool = False,
    overwrite: bool = False,
    on_progress: OnProgress = lambda done, total: None,
    process: Process | None = None,
) -> Summary:
    """Interpolate a video, a folder of frames, or two images.

    What is finished is kept in a part folder beside the output until that is complete, see `Job`.

    Args:
        inputs: one video, one folder, or images. output: a video, GIF or APNG, an image (of two), or a new folder.
            "-": standard input, and standard output, into which y4m is written; see `video.pipes`.
        model: in evaluation mode, on `device`.
        resume: continue an unfinished conversion. overwrite: replace an output that exists.
        on_progress: called with the number of frames made, and of those expected, None where that is not known.
        process: of several that share the work; default: this is the only one.
    Returns:
        What was done; `damage` says where a damaged source broke off, and what the output could not be closed with.
    Raises:
        ValueError, OSError: in one line what is wrong with the input, the output or the options.
    """
    started = time.monotonic()
    inputs, output = [Path(path) for path in inputs], Path(output)
    timeline = Timeline(multiplier=options.multiplier, fps=options.fps, slow=options.slow)
    network = Network(model, ratio=options.ratio, budget=options.budget, device=device, tile=options.tile)
    check_output(output, inputs, overwrite=overwrite)
    check_pipes(inputs, output, resume=resume, keeps_alpha=options.alpha, size=process.world_size if process else 1)
    with contextlib.closing(open_reader(inputs, rate=options.input_fps, **options.reading())) as reader:
        check_options(options, reader, output)
        source, lost = Source(reader, seconds=options.seconds), []
        if is_image(output):
            records = [_make_middle(source, network, output)]
        elif is_pipe(output):
            timeline = timeline.constant(reader.rate)  # y4m has no other times
            records, output = [_stream(_Task(source, timeline, network, options, Group(), on_progress))], Path(OUTPUT)
        else:
            task = _Task(source, timeline, network, options, Group(process), on_progress)
            records, lost = _make_video(task, output, resume=resume, overwrite=overwrite)
    damage = "; ".join([*([source.damage] if source.damage else []), *lost]) or None
    return summarise(records, output=output, seconds=time.monotonic() - started, damage=damage)


def _make_middle(source: Source, network: Network, output: Path) -> Record:
    """The frame between two images, as an image."""
    timeline, record = Timeline(multiplier=2), Record()
    spans = plan(source.frames(), timeline, until=source.until)
    _, made, *_ = render(spans, network, 1)
    write_picture(output, made.frame.image, made.frame.alpha)
    record.add(made)
    return record


class _Task(NamedTuple):
    """One conversion, from the frames on."""

    source: Source
    timeline: Timeline
    network: Network
    options: Options
    group: Group
    on_progress: OnProgress


def _make_video(task: _Task, output: Path, *, resume: bool, overwrite: bool) -> tuple[list[Record], list[str]]:
    """Make a video or a folder. Return the records of its segments, and what of the source it could not hold."""
    source, timeline, network, options, group, _ = task
    reader, job = source.reader, Job(output)
    form = choose_format(
        output, reader, rate=timeline.rate(reader.rate), unit=timeline.unit(reader.unit),
        columns=1 + options.compare, keeps_alpha=reader.has_alpha,
        **{name: getattr(options, name) for name in ENCODING},
    )  # fmt: skip
    is_once = isinstance(reader, PipeReader)
    wanted = {} if is_once else _describe(reader.paths, form, options, network)
    carried = reader if isinstance(reader, VideoReader) and is_video(output) else None
    lost: list[str] = []

    def begin() -> None:
        check_output(output, reader.paths, overwrite=overwrite)  # another process may have made it meanwhile
        job.begin(wanted, resume=resume, overwrite=overwrite)

    def say_what_is_lost() -> None:
        if carried is not None and not is_once:
            rehearse(carried, form.suffix, form.encoder, stretch=timeline.slow)

    def finish() -> None:
        job.check()
        end = timeline.stretch(source.end, source.start)
        left_out = join(
            job.folder, form, output, source=carried, end=end, stretch=timeline.slow, is_whole=source.is_whole,
            is_said=not is_once,
        )  # fmt: skip
        lost.extend([left_out] if left_out else [])

    with _holding(job, group):
        group.once(begin)
        with _keeping(job, group, is_once=is_once):
            if is_once and carried is not None:
                carried = reader.keep_rest(job.folder)
            group.once(say_what_is_lost)
            _make_segments(task, form, job)
            group.once(finish)
            records = job.records()
            group.once(job.remove)
    return records, lost


def _make_segments(task: _Task, form: Format, job: Job) -> None:
    """All segments that are this process's and not there yet."""
    done = sum(record.frames for record in job.records())
    with Sink(job, form, compare=task.options.compare) as sink:
        _make_frames(
            task, sink, done=done, is_wanted=lambda segment: job.is_missing(segment) and task.group.owns(segment)
        )


def _stream(task: _Task) -> Record:
    """All frames, into standard output."""
    source, timeline, _, options, *_ = task
    form = y4m_format(
        source.reader, rate=timeline.rate(source.reader.rate), columns=1 + options.compare,
        given=[name for name in ENCODING if getattr(options, name) is not None],
    )  # fmt: skip
    with claimed_output() as pipe:
        sink = StreamSink(Y4mWriter(pipe, form), compare=options.compare)
        _make_frames(task, sink, pipe.close)
    return sink.record


def _make_frames(
    task: _Task,
    sink: Sink | StreamSink,
    stop: Callable[[], None] = lambda: None,
    *,
    done: int = 0,
    is_wanted: Callable[[int], bool] = lambda segment: True,
) -> None:
    """Make the frames of all segments that are wanted; decoding and encoding run beside the network.

    stop: lets a `sink` that waits go on, when nothing that it has is wanted any more. done: frames that are there.
    """
    source, timeline, network, options, group, on_progress = task
    total = source.total and timeline.total(source.total, source.reader.rate)
    spans = plan(
        source.frames(),
        timeline,
        until=source.until,
        threshold=options.scene_threshold,
        drop_duplicates=options.drop_duplicates,
        is_wanted=is_wanted,
    )
    on_progress(done, total)
    depth = options.depth or timeline.halvings(source.reader.rate)
    with (
        Behind(sink.write) as encoder,
        contextlib.closing(ahead(spans, let_go=source.reader.close)) as waiting,
        stopping_on_failure(stop),
    ):
        for made in render(waiting, network, depth):
            encoder.put(made)
            done += group.size  # the others are about as fast
            on_progress(done if total is None else min(done, total), total)
    on_progress(done, done)


@contextlib.contextmanager
def _holding(job: Job, group: Group) -> Iterator[None]:
    """Meanwhile, no other run makes this output."""
    group.once(job.hold)
    try:
        yield
    finally:
        job.release()


@contextlib.contextmanager
def _keeping(job: Job, group: Group, *, is_once: bool) -> Iterator[None]:
    """When the block fails, say that what is finished is kept; nothing finished, nothing kept, and nothing of a source
    that can be read only once."""
    try:
        yield
    except BaseException:
        finished = 0 if is_once else len(job.records())
        if finished and group.rank == 0:
            logger.warning("%s keeps what is finished; --resume continues there", job.folder)
        elif not finished and group.size == 1:
            job.remove()
        raise


def _describe(paths: Sequence[Path], form: Format, options: Options, network: Network) -> dict[str, str]:
    """All that decides about the output's bytes."""
    files = "\n".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths)
    fixed = {"format": str(form), "weights": network.fingerprint(), "segment": str(SEGMENT)}
    chosen = {name: str(value) for name, value in asdict(options).items()}
    chosen["encoder_options"] = " ".join(options.encoder_options or ())
    return {"source": f"{paths[0]} ({sha256(files.encode()).hexdigest()[:16]})", **chosen, **fixed}
