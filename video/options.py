"""The options of a conversion, and checks of options, input and output before any work."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from .read.images import TRANSPARENT, ImageReader, is_image
from .read.pipes import INPUT, OUTPUT, PIPE, PipeReader, is_pipe
from .read.reader import VideoReader
from .read.source import Reader, Source, is_pattern
from .schedule.scenes import SCENE_THRESHOLD
from .schedule.timeline import DEEPEST, Timeline
from .write.codecs import is_animation, is_video

logger = logging.getLogger("waveletvfi")


@dataclass(frozen=True)
class Options:
    """The options that determine the frames of an output, together with the source and the weights.

    multiplier, fps, slow: see `Timeline`; default: twice as many frames.
    depth: make frames at multiples of 1/2^depth between two; default: see `Timeline.halvings`.
    input_fps: rate of images.
    start, end: use only the frames from `start` on and before `end`, in seconds.
    seconds: use only this much of the input, instead of an end.
    loop: make the frames between the last and the first one, too.
    deinterlace: first make whole frames of interlaced ones.
    fields: first make a whole frame of each field.
    alpha: interpolate the alpha channel, too, if the input has one.
    scene_threshold, drop_duplicates: see `schedule/scenes.py`.
    ratio, budget, tile: see `Network`.
    compare: put the source beside the output.
    codec, crf, preset, encoder, encoder_options: see `choose_format`.
    """

    multiplier: Fraction | int | None = None
    fps: Fraction | int | None = None
    slow: Fraction | int = 1
    depth: int | None = None
    input_fps: Fraction | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    seconds: Fraction | None = None
    loop: bool = False
    deinterlace: bool = False
    fields: bool = False
    alpha: bool = False
    scene_threshold: float = SCENE_THRESHOLD
    drop_duplicates: bool = False
    ratio: float | None = None
    budget: float | None = None
    tile: int | None = None
    compare: bool = False
    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    encoder: str | None = None
    encoder_options: Sequence[str] | None = None

    def timeline(self) -> Timeline:
        """Return the times of the output's frames."""
        return Timeline(
            multiplier=self.multiplier, fps=self.fps, slow=self.slow, from_zero=self.start is not None or self.loop
        )

    def source(self, reader: Reader) -> Source:
        """Return the part of the frames of `reader` that is used."""
        end = self.end if self.seconds is None else (self.start or 0) + self.seconds
        return Source(reader, start=self.start, end=end, loops=self.loop)

    def reading(self) -> dict[str, bool]:
        """Return the options of `open_reader`."""
        return {"is_interlaced": self.deinterlace, "by_field": self.fields, "keeps_alpha": self.alpha}


DEFAULTS = Options()
ENCODING = ("codec", "crf", "preset", "encoder", "encoder_options")  # options of `choose_format`


def check_values(options: Options) -> None:
    """Raise ValueError for an option that is out of range, or two that do not go together."""
    bounds = {"depth": (1, DEEPEST), "scene_threshold": (0, 255), "input_fps": (Fraction(1, 1000), 1000)}
    for name, (least, most) in bounds.items():
        value = getattr(options, name)
        if value is not None and not least <= value <= most:
            raise ValueError(f"{name} must be from {least} to {most}, got {value}")
    _check_range(options)


def check_options(options: Options, reader: Reader, output: Path) -> None:
    """Raise ValueError for options that do not fit the input and the output. Log what is assumed."""
    are_images = isinstance(reader, ImageReader)
    if options.input_fps is not None and not are_images:
        raise ValueError(f"input_fps is for images; {reader.path} has its own rate")
    if (options.deinterlace or options.fields) and not isinstance(reader, VideoReader):
        name = "deinterlace" if options.deinterlace else "fields"
        raise ValueError(f"{name} is for videos, and {reader.paths[0]} is an image")
    is_usual = options == replace(
        Options(), **{name: getattr(options, name) for name in ("ratio", "budget", "tile", "alpha")}
    )
    if is_image(output) and not (are_images and len(reader.paths) == 2 and is_usual):
        raise ValueError(f"{output}: an image holds the middle one of two images, without other options; name a folder")
    if options.alpha and not reader.has_alpha:
        if isinstance(reader, PipeReader):
            raise ValueError(f"{reader.path}: no alpha channel; pipe Matroska with FFV1, or leave --alpha out")
        logger.warning("%s: no alpha channel, so --alpha changes nothing", reader.paths[0])
    if reader.has_alpha and is_image(output) and output.suffix.lower() not in TRANSPARENT:
        kinds = ", ".join(TRANSPARENT)
        raise ValueError(f"{output} cannot keep an alpha channel; use {kinds}, or leave --alpha out")
    if are_images and options.input_fps is None and (is_video(output) or is_animation(output) or is_pipe(output)):
        logger.warning("taken as %s frames per second; --input_fps says otherwise", reader.rate)


def _check_range(options: Options) -> None:
    """Raise ValueError for a range of times that cannot hold a frame."""
    if options.seconds is not None and options.seconds <= 0:
        raise ValueError(f"seconds must be above 0, got {options.seconds}")
    if options.seconds is not None and options.end is not None:
        raise ValueError("give --seconds or --end, not both")
    if options.start is not None and options.start < 0:
        raise ValueError(f"start must be at least 0, got {options.start}")
    if options.end is not None and options.end <= (options.start or 0):
        raise ValueError(f"end must be after the start, got {options.end}")


def check_output(output: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Check that an output can be written, and that nothing is lost by it.

    Raises:
        ValueError: the output is the input, a folder although a file is needed, or a folder that cannot be replaced.
        FileExistsError: the output exists, or is a folder that is not empty.
        OSError: no file can be created there.
    """
    if is_pipe(output):
        return
    check_place(output)
    is_file = is_image(output) or is_video(output) or is_animation(output)
    if any(output.exists() and path.exists() and output.samefile(path) for path in inputs):
        raise ValueError(f"{output} is the input; give another --output")
    if output.is_dir():
        if is_file:
            raise ValueError(f"{output} is a folder; give a file's name, or remove it")
        if any(output.iterdir()):
            raise FileExistsError(f"{output} is a folder that is not empty; give another --output, or empty it")
        if output.is_symlink() or output.is_mount() or output.samefile(Path.cwd()):
            raise ValueError(
                f"{output} is a link, a mount or the current folder, and a finished folder takes its place; "
                "give --output a new folder"
            )
    elif output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists; give --overwrite to replace it")
    elif output.exists() and not is_file:
        raise FileExistsError(f"{output} is a file, and frames need a folder; give another --output")


def check_report(report: Path, output: Path, inputs: Sequence[Path]) -> None:
    """Check that a report can be written, and that it does not replace the output or an input.

    Raises:
        ValueError: the name belongs to another file or folder, or is not that of a .png.
        OSError: no file can be created there.
    """
    check_place(report)
    if PIPE in inputs:
        raise ValueError(f"{report}: a report reads the input again, and {INPUT} is read once; give a file's name")
    if report.suffix.lower() != ".png":
        raise ValueError(f"{report}: a report is a .png")
    if report.is_dir():
        raise ValueError(f"{report} is a folder; give a file's name for the report")
    for other in (output, *inputs):
        if report.absolute() == other.absolute() or (report.exists() and other.exists() and report.samefile(other)):
            raise ValueError(f"{report} is given for two files; give the report another name")
    folders = [path if path.is_dir() else path.parent for path in inputs if path.is_dir() or is_pattern(path)]
    if report.exists() and any(folder.exists() and folder.samefile(report.parent) for folder in folders):
        raise ValueError(f"{report} lies among the frames of the input; give the report another name")


def check_pipes(inputs: Sequence[Path], output: Path, *, resume: bool, keeps_alpha: bool, size: int) -> None:
    """Check the options of a run with standard input or output, which one process can read or write once.

    Args:
        inputs, output: "-" is standard input or output.
        resume: continue an unfinished run.
        keeps_alpha: interpolate the alpha channel, too.
        size: number of processes of this run.
    Raises:
        ValueError: an option needs a file.
    """
    piped = [name for name, path in ((INPUT, [*inputs]), (OUTPUT, [output])) if PIPE in path]
    if not piped:
        return
    if len(inputs) > 1 and PIPE in inputs:
        raise ValueError(f"- is {INPUT}, one video; give it alone")
    if resume:
        raise ValueError(f"--resume needs files: {piped[0]} cannot be read or written a second time")
    if keeps_alpha and is_pipe(output):
        raise ValueError(f"{OUTPUT} gets y4m, which cannot keep an alpha channel; name a file, or leave --alpha out")
    if size > 1:
        raise ValueError(f"{piped[0]} belongs to one process, not to {size}; run without torchrun")


def check_place(path: Path) -> None:
    """Raise OSError if no file of this name can be created."""
    # Path.exists fails for a name that is too long.
    folder = next(folder for folder in path.absolute().parents if os.path.exists(folder))  # noqa: PTH110
    longest = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    for name in path.absolute().relative_to(folder).parts:
        size = len(os.fsencode(name))
        if size > longest:
            raise OSError(f"the name {name[:20]}... is {size} bytes long, and {folder} takes {longest}; shorten it")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OSError(f"{path} cannot be written: {folder} is not a folder in which files can be made")
