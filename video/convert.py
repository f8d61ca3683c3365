"""Convert a video, a folder of frames or two images: the whole work of `interpolate.py`, for other programs, too.

The steps are:

1. Check the options, the input and the output: `options.py`.
2. Open the input and read its frames: `read/source.py`.
3. Choose how the output stores frames: `write/codecs.py`.
4. Begin a part folder, which keeps finished segments of the output, or resume one: `write/job.py`.
5. Make the frames, segment by segment, with `schedule/timeline.py`, `render/pipeline.py` and the encoder: `making.py`.
6. Join the segments, and copy sound and subtitles: `write/mux.py`.
7. Summarise the result.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import torch

from utils import Process

from .making import Group, OnProgress, Task, keeping, make_middle, make_segments, stream
from .options import DEFAULTS, ENCODING, Options, check_options, check_output, check_pipes, check_values
from .read.images import is_image
from .read.pipes import OUTPUT, PipeReader, is_pipe
from .read.reader import VideoReader
from .read.source import open_reader
from .render.network import Call, Model, Network
from .render.threads import steady_threads
from .render.workers import Workers
from .schedule.timeline import SEGMENT
from .write.carried import Carried
from .write.codecs import choose_format, is_video
from .write.job import Job, Record
from .write.mux import join
from .write.segments import Format
from .write.streams import cut_before, rehearse


class Summary(NamedTuple):
    """The result of a conversion.

    output: the file or folder.
    frames: number of frames in it.
    made: number of frames between two, made by the network, or copied or mixed where nothing moves.
    held: number of frames repeated, in cuts and at the end.
    cuts: times in the source, in seconds.
    seconds: time that it took.
    cost: mean fraction of the dense synthesis; None if the model does not say.
    saved: fraction of all operations that was saved; None if the model does not say.
    ratios: how many middle frames had which threshold ratio, to one digit.
    damage: where the source broke off; None if it did not.
    records: one of each segment.
    calls: number of calls of the network.
    """

    output: Path
    frames: int
    made: int
    held: int
    cuts: list[float]
    seconds: float
    cost: float | None
    saved: float | None
    ratios: dict[float, int]
    damage: str | None
    records: list[Record]
    calls: int = 0


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
    workers: int | Workers | None = 1,
    threads: int | None = None,
) -> Summary:
    """Interpolate a video, a folder of frames, or two images.

    Finished parts are kept in a folder beside the output until the output is complete, see `Job`.

    Args:
        inputs: one video, one folder, or images. "-" is standard input.
        output: a video, GIF or APNG, an image (of two), or a new folder. "-" is standard output, which gets y4m.
        model: in evaluation mode, on `device`.
        resume: continue an unfinished conversion.
        overwrite: replace an output that exists.
        on_progress: called with the number of frames made, and the expected number (None if unknown).
        process: one of several processes that share the work. Default: this is the only one.
        workers: number of processes that run the network, or a `Workers`, which is left running. None: one per core of
            a CPU if there is enough work. Workers import the program that starts them, so its own work belongs below
            `if __name__ == "__main__":`.
        threads: PyTorch's threads in each process, on a CPU. Default: 1; another number may change the last bits.
    Returns:
        The summary. Its `damage` says where a damaged source broke off, and which streams had to be left out.
    Raises:
        ValueError, OSError: the input, the output or the options are wrong; the message is one line.
    """
    started = time.monotonic()
    inputs, output = [Path(path) for path in inputs], Path(output)
    timeline = options.timeline()
    amount = {name: getattr(options, name) for name in ("ratio", "budget", "tile")}
    network = Network(model, **amount, device=device)
    check_output(output, inputs, overwrite=overwrite)
    check_values(options)
    check_pipes(inputs, output, resume=resume, keeps_alpha=options.alpha, size=process.world_size if process else 1)
    with (
        contextlib.closing(open_reader(inputs, rate=options.input_fps, **options.reading())) as reader,
        contextlib.nullcontext(workers)
        if isinstance(workers, Workers)
        else Workers(model, workers, threads=threads) as hired,
        steady_threads(device, threads),
    ):
        check_options(options, reader, output)
        source, lost = options.source(reader), []
        task = Task(source, timeline, network, options, on_progress, hired)
        if is_image(output):
            check_output(output, reader.paths, overwrite=overwrite)  # a folder may hold it
            records = [make_middle(source, network, output)]
        elif is_pipe(output):
            records, output = [stream(task._replace(timeline=timeline.constant(reader.rate)))], Path(OUTPUT)
        else:
            records, lost = _make_video(task, Group(process), output, resume=resume, overwrite=overwrite)
    damage = "; ".join([*([source.damage] if source.damage else []), *lost]) or None
    return summarise(records, output=output, seconds=time.monotonic() - started, damage=damage)


def summarise(records: list[Record], *, output: Path, seconds: float, damage: str | None) -> Summary:
    """Add up the records of all segments."""
    calls = [Call(*call[1:]) for record in records for call in record.calls]
    costs = [call.cost for call in calls if call.cost is not None]
    counted = [call for call in calls if call.executed is not None and call.dense]
    ratios = Counter(float(f"{call.ratio:.0e}") for call in calls if call.ratio is not None)
    return Summary(
        output,
        *(sum(getattr(record, name) for record in records) for name in ("frames", "made", "held")),
        sorted({cut for record in records for cut in record.cuts}),
        seconds,
        sum(costs) / len(costs) if costs else None,
        1 - sum(call.executed for call in counted) / sum(call.dense for call in counted) if counted else None,
        dict(sorted(ratios.items())),
        damage,
        records,
        sum(call.calls for call in calls),
    )


def describe(summary: Summary) -> str:
    """Describe a conversion in a line or two."""
    facts = [f"{summary.made} made without the network"]  # copied or mixed, as nothing moves
    if summary.calls:
        each = _digits(summary.seconds / summary.calls)
        facts = [f"{summary.made} made by {_count(summary.calls, 'network call')}, {each} s each"]
    if summary.saved is not None and summary.calls:
        facts.append(f"{summary.saved:.0%} of the operations saved")
    if summary.cuts:
        facts.append(f"{_count(len(summary.cuts), 'cut')} held")
    lines = [f"{_count(summary.frames, 'frame')} in {summary.output}: {'; '.join(facts)}"]
    if len(summary.ratios) > 1:
        total = sum(summary.ratios.values())
        shares = ", ".join(f"{ratio:g}: {count / total:.0%}" for ratio, count in summary.ratios.items())
        lines.append(f"threshold ratios: {shares}")
    return "\n".join(lines)


def _make_video(
    task: Task, group: Group, output: Path, *, resume: bool, overwrite: bool
) -> tuple[list[Record], list[str]]:
    """Make a video or a folder. Return the records of its segments, and descriptions of streams that it cannot hold."""
    source, timeline, network, options, *_ = task
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

    def tell_losses() -> None:
        if carried is not None and not is_once:
            rehearse(Carried(carried, stretch=timeline.slow), form)

    def finish() -> None:
        job.check()
        end, copied = timeline.stretch(source.end, source.start), None
        if carried is not None:
            is_moved = options.start is not None or (options.loop and source.start > 0)  # the first frame, to 0
            kept = cut_before(carried, source.start) if is_moved else carried
            copied = Carried(kept, None if source.is_whole else end, timeline.slow, is_said=not is_once)
        left_out = join(job.folder, form, output, carried=copied, end=end)
        lost.extend([left_out] if left_out else [])

    with contextlib.ExitStack() as stack:
        stack.callback(job.release)
        group.once(job.hold)  # keeps other runs from making this output
        group.once(begin)
        stack.enter_context(keeping(job, group, is_once=is_once))
        if is_once and carried is not None:
            carried = reader.keep_rest(job.folder)
        group.once(tell_losses)
        make_segments(task, form, job, group)
        group.once(finish)
        records = job.records()
        group.once(job.remove)
    if group.size > 1:
        task.on_progress(*2 * [sum(record.frames for record in records)])
    return records, lost


def _describe(paths: Sequence[Path], form: Format, options: Options, network: Network) -> dict[str, str]:
    """Return everything that determines the output's bytes, as text by name."""
    files = "\n".join(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in paths)
    fixed = {"format": str(form), "weights": network.fingerprint(), "segment": str(SEGMENT)}
    chosen = {name: str(value) for name, value in asdict(options).items()}
    chosen["encoder_options"] = " ".join(options.encoder_options or ())
    digest = sha256(files.encode(errors="surrogateescape")).hexdigest()  # a name may be no text
    return {"source": f"{paths[0]} ({digest[:16]})", **chosen, **fixed}


def _digits(seconds: float) -> str:
    """Format with at least two digits, and never an exponent."""
    return f"{seconds:.2g}" if 0.001 <= seconds < 10 else f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.4f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
