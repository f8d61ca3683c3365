"""Whether an output can be written, said before anything is computed."""

import os
from collections.abc import Sequence
from pathlib import Path

from .codecs import is_animation, is_video
from .images import is_image
from .pipes import INPUT, PIPE, is_pipe


def check_output(output: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse an output that is in the way or cannot be written.

    Raises:
        ValueError, FileExistsError, OSError: it is the input; it exists; it is a folder that is not empty, or one where
            a file belongs, or the other way round; no files can be made there.
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
    elif output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists; give --overwrite to replace it")
    elif output.exists() and not is_file:
        raise FileExistsError(f"{output} is a file, and frames need a folder; give another --output")


def check_report(report: Path, output: Path, inputs: Sequence[Path]) -> None:
    """Refuse a report that cannot be written, or that would replace the output or an input.

    Raises:
        ValueError, OSError: what is wrong with its name.
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


def check_place(path: Path) -> None:
    """Raises OSError where no file of this name can be made."""
    folder = next(folder for folder in path.absolute().parents if _exists(folder))
    longest = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    for name in path.absolute().relative_to(folder).parts:
        size = len(os.fsencode(name))
        if size > longest:
            raise OSError(f"the name {name[:20]}... is {size} bytes long, and {folder} takes {longest}; shorten it")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OSError(f"{path} cannot be written: {folder} is not a folder in which files can be made")


def _exists(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:  # a name that is too long
        return False
