"""python interpolate.py clip.mp4 --output smooth.mp4
python interpolate.py clip.mp4 --output slow_frames --multiplier 4
python interpolate.py frames --output smooth.mp4 --fps 24
python interpolate.py a.png b.png --output middle.png

A video, a folder of frames or two images in; the same with the frames between them out.
"""

import argparse
import contextlib
import os
import time
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from models import WaveletVFI
from models.options import add_options, network
from utils import image_to_tensor, pick_device, run_script, write_image
from video import (
    CRF,
    DEFAULT_RATE,
    ImageReader,
    VideoReader,
    count_halvings,
    interpolate_frames,
    is_image,
    is_video,
    list_frames,
    open_writer,
)


class MeteredModel:
    """A network that keeps count of its cost: `costs`, fractions of the dense operations of the sparse convolutions."""

    def __init__(self, model: WaveletVFI):
        self._model = model
        self.costs: list[float] = []

    def interpolate(self, img0: Tensor, img1: Tensor, **options: float | None) -> Tensor:
        output = self._model.interpolate_details(img0, img1, **options)
        self.costs.append(output.candidates[0].cost.mean().item())
        return output.frame


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", nargs="+", type=Path, help="a video, a folder of frames, or two images")
    parser.add_argument(
        "--output", "-o", type=Path, required=True,
        help="a video (.mp4, .mov, .mkv, .webm), an image (for two images), or a new folder for numbered PNG frames",
    )  # fmt: skip
    parser.add_argument("--multiplier", type=int, default=2, help="2, 4, 8, ...: how many times as many frames")
    add_options(parser)
    parser.add_argument("--fps", type=Fraction, help="rate of a folder of frames, e.g. 24 or 24000/1001; default 25")
    parser.add_argument("--crf", type=int, default=CRF, help="quality of a video, 0 (best, largest) to 51")
    parser.add_argument("--overwrite", action="store_true", help="replace an output file that exists")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    check_arguments(args)
    started = time.monotonic()
    device = pick_device(args.device)
    with contextlib.closing(open_reader(args)) as reader:
        model = MeteredModel(network(args, device))
        convert = write_middle if is_image(args.output) else write_frames
        count = convert(args, reader, model, device)
    cost = sum(model.costs) / len(model.costs)
    seconds = time.monotonic() - started
    print(f"{args.output}: {count} frames, {seconds:.1f} s, {cost:.1%} of the dense synthesis' operations")


def check_arguments(args: argparse.Namespace) -> None:
    """Raises ValueError or OSError for what can be known to fail before anything is read."""
    count_halvings(args.multiplier)
    if args.fps is not None and not 0 < args.fps <= 1000:
        raise ValueError(f"--fps must be above 0 and at most 1000, got {args.fps}")
    if not 0 <= args.crf <= 51:
        raise ValueError(f"--crf must be from 0 to 51, got {args.crf}")
    if len(args.input) > 2:
        raise ValueError(f"one video, one folder or two images are needed, got {len(args.input)} inputs")
    for path in args.input:
        if not path.exists():
            raise FileNotFoundError(f"no such file or folder: {path}")
        if path.is_dir() and len(args.input) == 2:
            raise ValueError(f"{path} is a folder; give one folder, or two images")
    if args.fps is not None and not (is_video(args.output) and (len(args.input) == 2 or args.input[0].is_dir())):
        raise ValueError("--fps is only for images that become a video; a video keeps its own rate")
    check_output(args)


def check_output(args: argparse.Namespace) -> None:
    """Refuse an output that is in the way, of unknown kind, or cannot be written."""
    output: Path = args.output
    if any(output.exists() and output.samefile(path) for path in args.input):
        raise ValueError(f"{output} is the input; give another --output")
    if is_image(output) and (len(args.input) == 1 or args.multiplier != 2):
        raise ValueError(f"{output}: one image holds one middle frame, of two images at --multiplier 2; name a folder")
    if output.suffix and not (is_image(output) or is_video(output) or output.is_dir()):
        raise ValueError(f"{output}: unknown kind {output.suffix!r}; use .mp4, .mov, .mkv, .webm, or a folder's name")
    if output.is_dir():
        if is_image(output) or is_video(output):
            raise ValueError(f"{output} is a folder; give a file's name, or remove it")
        if any(output.iterdir()):
            raise FileExistsError(f"{output} is a folder that is not empty; give another --output, or empty it")
    elif output.exists() and not args.overwrite:
        raise FileExistsError(f"{output} exists; give --overwrite to replace it")
    elif output.exists() and not (is_image(output) or is_video(output)):
        raise FileExistsError(f"{output} is a file, and frames need a folder; give another --output")
    parent = next(folder for folder in output.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OSError(f"{output} cannot be written: {parent} is not a folder in which files can be made")


def open_reader(args: argparse.Namespace) -> VideoReader | ImageReader:
    """The reader for the kind of input."""
    first = args.input[0]
    if len(args.input) == 1 and is_image(first):
        raise ValueError(f"{first} is one image; give two, a folder of frames, or a video")
    if len(args.input) == 1 and first.is_file():
        reader = VideoReader(first)
        if reader.audio and not is_video(args.output):
            tqdm.write(f"{first}: its sound is not kept with frames in a folder")
        return reader
    if args.fps is None and is_video(args.output):
        tqdm.write(f"taken as {DEFAULT_RATE} frames per second; --fps says otherwise")
    rate = (args.fps or DEFAULT_RATE).limit_denominator(1001)
    return ImageReader(list_frames(first) if first.is_dir() else args.input, rate=rate)


def write_middle(
    args: argparse.Namespace, reader: VideoReader | ImageReader, model: MeteredModel, device: torch.device
) -> int:
    """The one frame between two images, as an image."""
    _, middle, _ = interpolate_frames(reader.frames(), model, ratio=args.ratio, budget=args.budget, device=device)
    write_image(args.output, image_to_tensor(middle.image))
    return 1


def write_frames(
    args: argparse.Namespace, reader: VideoReader | ImageReader, model: MeteredModel, device: torch.device
) -> int:
    """All frames, as a video or a folder; returns their number."""
    total = reader.total and (reader.total - 1) * args.multiplier + 1
    with (
        open_writer(args.output, reader, multiplier=args.multiplier, crf=args.crf) as writer,
        tqdm(total=total, unit="frame", desc=args.output.name, mininterval=1) as progress,
        logging_redirect_tqdm(),
    ):
        frames = reader.frames(writer.write_audio)
        options = {"multiplier": args.multiplier, "ratio": args.ratio, "budget": args.budget}
        for frame in interpolate_frames(frames, model, **options, device=device):
            writer.write(frame)
            progress.update()
    return writer.count


if __name__ == "__main__":
    run_script(main, parse_args())
