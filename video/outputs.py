"""Whether an output can be written, said before anything is computed."""

import os
from collections.abc import Sequence
from pathlib import Path

from .codecs import is_animation, is_video
from .images import is_image


def check_output(output: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse an output that is in the way or cannot be written.

    Raises:
        ValueError, FileExistsError, OSError: it is the input; it exists; it is a folder that is not empty, or one where
            a file belongs, or the other way round; no files can be made there.
    """
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
    parent = next(folder for folder in output.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OSError(f"{output} cannot be written: {parent} is not a folder in which files can be made")
