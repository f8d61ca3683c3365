"""Convert several videos into one folder: find them, place their outputs, and report the result of each."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from utils import natural_order

from .convert import Summary, describe
from .read.images import is_image
from .read.pipes import is_pipe
from .read.source import is_pattern, is_still
from .write.codecs import is_animation, is_video

logger = logging.getLogger("waveletvfi")

# Suffixes of files that are videos if a folder or a pattern names them.
SUFFIXES = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".vob", ".wmv"}
SUFFIXES |= {".flv", ".ogv", ".3gp", ".mxf", ".y4m", ".gif", ".apng"}
USUAL = ".mp4"  # the container of an output if the input's is not written


class Outcome(NamedTuple):
    """The result of one video.

    video: the input.
    summary: summary of the conversion; None if it failed.
    error: reason of the failure in one line; "" if there was none.
    """

    video: Path
    summary: Summary | None
    error: str


def find_videos(inputs: Sequence[Path]) -> list[Path] | None:
    """Return the videos that the inputs name; None if the inputs are a single input of `convert`: a video, or frames.

    The inputs are several videos, a folder that holds videos and no image, or a pattern that matches videos and no
    image.

    Raises:
        ValueError: there are videos beside images, frames or standard input.
        FileNotFoundError: one of several inputs is missing.
    """
    found = [_videos_of(path) for path in inputs]
    if len(inputs) == 1:
        return found[0] if inputs[0].is_dir() or is_pattern(inputs[0]) else None
    videos = [path for path, some in zip(inputs, found, strict=True) if some is not None]
    if not any(path.is_dir() or is_pattern(path) or path.suffix.lower() in SUFFIXES for path in videos):
        return None  # images, or unknown files, which `convert` reports
    for path in inputs:
        if not (path.exists() or is_pattern(path) or is_pipe(path)):
            raise FileNotFoundError(f"no such file or folder: {path}")
    if other := next((path for path, some in zip(inputs, found, strict=True) if some is None), None):
        raise ValueError(f"{videos[0]} names videos, but {other} does not; convert videos and frames one after another")
    return [video for some in found for video in some]


def place_outputs(videos: Sequence[Path], folder: Path) -> list[Path]:
    """Return the output of each video in the folder: the video's name if that container can be written, else .mp4.

    Raises:
        ValueError: two outputs have the same name, or `folder` is a file, or has a file's name.
    """
    if folder.is_file() or is_video(folder) or is_image(folder) or is_animation(folder) or is_pipe(folder):
        raise ValueError(f"several videos go into a folder, and {folder} is a file; give --output a folder")
    places: dict[Path, Path] = {}
    for video in videos:
        kept = is_video(video) or is_animation(video)
        place = folder / (video.name if kept else f"{video.stem}{USUAL}")
        if other := places.get(place):
            raise ValueError(f"{other} and {video} would both become {place}; convert them into two folders")
        places[place] = video
    return list(places)


def convert_all(
    videos: Sequence[Path],
    outputs: Sequence[Path],
    convert_one: Callable[[Path, Path], Summary],
    *,
    keeps_finished: bool = False,
) -> list[Outcome]:
    """Convert the videos one after the other. One that fails does not end the work. Print what is done.

    Args:
        convert_one: converts a video to an output. Raises ValueError or OSError if it cannot.
        keeps_finished: True to leave out videos whose output exists, as when a run is continued. An output that is
            the video itself fails.
    """
    outcomes = []
    for video, output in zip(videos, outputs, strict=True):
        if keeps_finished and output.exists() and not output.samefile(video):
            print(f"{output} is there already")
            continue
        try:
            summary = convert_one(video, output)
            outcomes.append(Outcome(video, summary, ""))
            print(describe(summary))
        except BrokenPipeError:
            raise
        except (ValueError, OSError) as error:
            outcomes.append(Outcome(video, None, str(error)))
            logger.error("%s failed: %s", video, error)
    return outcomes


def describe_all(outcomes: Sequence[Outcome], *, count: int, seconds: float) -> str:
    """Describe how many of `count` videos are done, and why the others are not."""
    failed = [outcome for outcome in outcomes if outcome.error]
    lines = [f"{count - len(failed)} of {count} videos done in {seconds:.0f} s"]
    lines += [f"failed: {outcome.video}: {outcome.error}" for outcome in failed]
    lines += [f"damaged: {one.summary.damage}" for one in outcomes if one.summary and one.summary.damage]
    return "\n".join(lines)


def _videos_of(path: Path) -> list[Path] | None:
    """Return the videos that one input names; None if it names images."""
    if is_pipe(path):
        return None
    if path.is_dir() or is_pattern(path):
        inside = list(path.iterdir() if path.is_dir() else path.parent.glob(path.name))
        shown = [one for one in inside if not one.name.startswith(".") and one.is_file()]
        videos = natural_order(one for one in shown if one.suffix.lower() in SUFFIXES)
        if videos and any(map(is_image, shown)):
            logger.warning("%s is taken as frames: the videos in it are left out", path)
            return None
        return videos or None
    return None if not path.exists() or is_still(path) else [path]
