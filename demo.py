"""python demo.py
python demo.py --clip CLIP.mp4 --seconds 1

`make demo` runs this script. It doubles the frame rate of a real clip, and draws a picture that explains one pair.
"""

from common.startup import begin_script, run_script

if __name__ == "__main__":
    begin_script()

import argparse
import contextlib
import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from datasets.clips import EXAMPLE
from interpolate import Progress
from models import default_checkpoint
from models.loading import add_options, network
from utils import atomic_path, image_to_tensor, pick_device
from video import Frame, Options, VideoReader, convert, describe
from video.picture import explain

CUT = 3  # more than so many times the usual difference is a cut, not motion


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=EXAMPLE, help="a video; default: examples/bird.mp4 (640x360)")
    parser.add_argument("--seconds", type=Fraction, default=Fraction(3), help="seconds of the clip to convert (3)")
    add_options(parser, precision="auto")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder of results (demo_output)")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    started = time.monotonic()
    device = pick_device(args.device)
    checkpoint = args.checkpoint or default_checkpoint()
    model, amount = network(args, device), {"ratio": args.ratio, "budget": args.budget}
    clip = args.clip
    smooth, picture = args.output / f"{clip.stem}_x2.mp4", args.output / "demo.png"

    with contextlib.closing(Progress(smooth.name)) as progress:
        summary = convert(
            [clip], smooth, model, Options(seconds=args.seconds, **amount),
            device=device, overwrite=True, on_progress=progress.show,
        )  # fmt: skip
    with contextlib.closing(VideoReader(clip)) as reader:
        frame0, frame1 = liveliest_pair(Options(seconds=args.seconds).source(reader).frames())
        rate = float(reader.rate)
    img0, img1 = (image_to_tensor(frame.image).to(device) for frame in (frame0, frame1))
    output = model.interpolate_details(img0, img1, **amount)
    title = f"{clip.stem}, {rate:g} to {2 * rate:g} frames per second, at {float(frame0.time):.2f} s"
    with atomic_path(picture) as temporary:
        explain(img0, img1, output, title=f"{title}; weights {checkpoint.name}").save(temporary)
    print(f"{describe(summary)}\n{picture}\n{time.monotonic() - started:.0f} s with {checkpoint}")


def liveliest_pair(frames: Iterable[Frame]) -> tuple[Frame, Frame]:
    """Return the two neighbouring frames that differ most without being a cut.

    A cut is a difference of more than CUT times the median.

    Raises:
        ValueError: there are fewer than two frames.
    """
    best, differences, last = [], [], None
    for frame in frames:
        if last is not None:
            difference = np.abs(frame.image.astype(np.int16) - last.image).mean()
            differences.append(difference)
            best = sorted([*best, (difference, last, frame)], key=lambda pair: -pair[0])[:8]
        last = frame
    if not best:
        raise ValueError("a pair of frames is needed; give more --seconds")
    usual = np.median(differences)
    calm = [pair for pair in best if pair[0] <= CUT * usual] or best[-1:]
    return calm[0][1:]


if __name__ == "__main__":
    run_script(main, parse_args())
