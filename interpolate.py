"""python interpolate.py clip.mp4 --output smooth.mp4
python interpolate.py clip.mp4 --output smooth.mp4 --fps 60
python interpolate.py clip.mp4 --output slow.mp4 --slow 4
python interpolate.py frames --output smooth.mp4 --input_fps 24
python interpolate.py a.png b.png --output middle.png
python interpolate.py a.mp4 b.mkv folder_of_videos "clips/*.mp4" --output smooth_videos
ffmpeg -i in.mp4 -f yuv4mpegpipe - | python interpolate.py - --output - | ffmpeg -i - out.mp4

Make the frames between those of a video, of a folder of frames, or of two images. Several videos are converted one
after the other into a folder.

Exit status: 0: done. 1: failed; one line says why (of several videos, at least one failed). 3: the input is damaged;
everything that can be read is converted. 130: interrupted; --resume continues. 141: the program that reads standard
output has closed it.
"""

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from models.loading import add_options, network, spell_out
from utils import Process, init_distributed
from video import (
    CODECS,
    Group,
    Options,
    Summary,
    Workers,
    check_report,
    convert,
    convert_all,
    describe,
    describe_all,
    find_videos,
    is_pipe,
    moment,
    place_outputs,
    rational,
    steady_threads,
    tells_costs,
)
from video.picture import write_report

DAMAGED = 3  # exit status


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "input",
        nargs="+",
        type=Path,
        help='a video (-: standard input), a folder of frames, "frames/*.png", or two images; or several videos, '
        'folders of videos, "clips/*.mp4"',
    )  # fmt: skip
    parser.add_argument(
        "--output", "-o", type=Path, required=True,
        help="a video (.mp4, .mov, .mkv, .webm), .gif, .apng, an image (of two images), a new folder for PNG frames, "
        "or - for y4m to standard output; of several videos a folder, for NAME.mp4 or the input's container",
    )  # fmt: skip
    add_times(parser)
    add_content(parser)
    add_options(parser, precision="auto")
    add_processes(parser)
    parser.add_argument("--tile", type=int, help="compute in squares with sides of this many pixels, to save memory")
    parser.add_argument(
        "--alpha", action="store_true",
        help="interpolate the alpha channel, too; PNG, .mov (ProRes), .webm (VP9), .mkv (FFV1) and .apng keep it",
    )  # fmt: skip
    parser.add_argument(
        "--codec",
        choices=CODECS,
        help="codec of a video (h264; vp9 in .webm; with --alpha prores in .mov, ffv1 in .mkv)",
    )
    parser.add_argument("--crf", type=int, help="quality of a video: a smaller number is better and larger (by codec)")
    parser.add_argument("--preset", help="speed of the video encoder, by codec")
    parser.add_argument(
        "--encoder", help="an encoder by FFmpeg's name, instead of --codec: libx265, prores_ks, h264_nvenc, ..."
    )
    parser.add_argument(
        "-e", dest="encoder_options", action="append", metavar="KEY=VALUE",
        help="an option of the encoder by FFmpeg's name, or pix_fmt; may be given several times",
    )  # fmt: skip
    parser.add_argument("--compare", action="store_true", help="put the input to the left of the output")
    parser.add_argument("--report", type=Path, help="a .png to draw costs, ratios, cuts and some pairs into")
    parser.add_argument("--resume", action="store_true", help="continue a conversion that was interrupted")
    parser.add_argument("--overwrite", action="store_true", help="replace an output, finished or not")
    return parser.parse_args(spell_out(argv))


def add_times(parser: argparse.ArgumentParser) -> None:
    """Add the options about the number of frames and their times."""
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "--multiplier", type=rational,
        help="make this many times as many frames: 2, 3, 5/2, ... (2); with weights that make the middle alone, 3 "
        "takes twice as long as 4: 7 network calls per pair instead of 3",
    )  # fmt: skip
    rate.add_argument("--fps", type=rational, help="instead: frames per second, such as 60 or 60000/1001")
    parser.add_argument(
        "--slow", type=rational, default=1, help="slow motion: last this many times as long, without sound"
    )
    parser.add_argument(
        "--depth", type=int, help="for weights that make the middle alone: make frames at the nearest 1/2^depth (4)"
    )
    parser.add_argument("--start", type=moment, help="only the frames from this time on: 90, 1:30, 0:01:30.5")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--end", type=moment, help="only the frames before this time of the input")
    until.add_argument("--seconds", type=moment, help="instead: only this much of the input")
    parser.add_argument("--loop", action="store_true", help="make the frames from the last to the first one, too")
    parser.add_argument("--deinterlace", action="store_true", help="make whole frames of interlaced ones first")
    parser.add_argument(
        "--fields",
        action="store_true",
        help="instead: make a frame of each field, which gives twice as many, as television shows them",
    )
    parser.add_argument("--input_fps", "--input-fps", type=rational, help="rate of a folder of frames (25)")


def add_content(parser: argparse.ArgumentParser) -> None:
    """Add the options about frames that are not interpolated."""
    parser.add_argument(
        "--scene_threshold", "--scene-threshold", type=float, default=Options.scene_threshold,
        help="a change above this difference, 0 to 255, is a cut; 255: there are no cuts (%(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--duplicates", choices=("keep", "drop"), default="keep", help="drop: interpolate over repeated frames (keep)"
    )


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Add the options about processes and threads."""
    parser.add_argument(
        "--workers", type=int,
        help="processes that run the network (on a CPU one per core if work and memory suffice; 1 on a GPU, with "
        "--compile and under torchrun)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=int,
        help="PyTorch's threads in each process, on a CPU (1); another number may change the last bits of frames",
    )  # fmt: skip


def main(args: argparse.Namespace) -> None:
    videos = find_videos(args.input)
    if args.report and videos is not None:
        raise ValueError("--report works with one video; give one video, or leave --report out")
    if args.report:
        check_report(args.report, args.output, args.input)
    outputs = [] if videos is None else place_outputs(videos, args.output)
    process = init_distributed(args.device)
    with steady_threads(process.device, args.threads):
        model = network(args, process.device)
        if args.report and not tells_costs(model):
            raise ValueError(
                f"{args.checkpoint} does not report the cost of its frames; leave --report out, or use a .pth"
            )
        if args.compile and args.workers not in (None, 1):
            raise ValueError("--compile works in one process; leave --workers or --compile out")
        is_single = args.workers is None and (args.compile or process.world_size > 1)
        count = 1 if is_single else args.workers  # None: each conversion decides
        with Workers(model, count, threads=args.threads) as workers, logging_redirect_tqdm():
            if videos is None:
                summary = run(args, workers, process, is_shown=process.is_main)
                if process.is_main:
                    finish(args, summary, workers, process)
            else:
                run_all(args, workers, process, videos, outputs)


def options_of(args: argparse.Namespace) -> Options:
    """Return the options of the output."""
    given = {name: getattr(args, name) for name in Options.__dataclass_fields__ if hasattr(args, name)}
    return Options(**given, drop_duplicates=args.duplicates == "drop")


def run(args: argparse.Namespace, workers: Workers, process: Process, *, is_shown: bool) -> Summary:
    """Convert the input in all processes of the run. With `is_shown`, show a progress bar."""
    flags = {"resume": args.resume, "overwrite": args.overwrite, "threads": args.threads}
    with contextlib.closing(Progress(args.output.name, is_shown=is_shown)) as progress:
        return convert(
            args.input, args.output, workers.model, options_of(args),
            device=process.device, **flags, on_progress=progress.show, process=process, workers=workers,
        )  # fmt: skip


def finish(args: argparse.Namespace, summary: Summary, workers: Workers, process: Process) -> None:
    """Print the summary, and draw the report if one is wanted."""
    told = sys.stderr if is_pipe(args.output) else sys.stdout
    print(describe(summary), file=told)
    if args.report:
        write_report(args.report, summary, args.input, workers.model, options_of(args), device=process.device)
        print(args.report, file=told)
    if summary.damage:
        print(f"damaged: {summary.damage}", file=sys.stderr)
        sys.exit(DAMAGED)


def run_all(
    args: argparse.Namespace, workers: Workers, process: Process, videos: Sequence[Path], outputs: Sequence[Path]
) -> None:
    """Convert several videos, each in one process of this run, and print a summary."""
    started, group = time.monotonic(), Group(process)
    alone = process._replace(rank=0, world_size=1)

    def convert_one(video: Path, output: Path) -> Summary:
        one = argparse.Namespace(**vars(args) | {"input": [video], "output": output})
        return run(one, workers, alone, is_shown=process.is_main)

    share = slice(group.rank, None, group.size)
    ours = convert_all(videos[share], outputs[share], convert_one, keeps_finished=args.resume)
    outcomes = [outcome for some in group.gather(ours) for outcome in some]
    if process.is_main:
        print(describe_all(outcomes, count=len(videos), seconds=time.monotonic() - started))
    if any(outcome.error for outcome in outcomes):
        sys.exit(1)
    if any(outcome.summary.damage for outcome in outcomes):
        sys.exit(DAMAGED)


class Progress:
    """A progress bar with frames per second and the time left, from the first frame on."""

    def __init__(self, name: str, *, is_shown: bool = True):
        self._bar: tqdm | None = None
        self._name, self._is_shown = name, is_shown

    def show(self, done: int, total: int | None) -> None:
        """Show that `done` frames of `total` are made. Those of the first call do not count for the speed."""
        if self._bar is None:
            self._bar = tqdm(
                unit="frame", desc=self._name, initial=done, total=total, mininterval=1, disable=not self._is_shown
            )
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


if __name__ == "__main__":
    run_script(main, parse_args())
