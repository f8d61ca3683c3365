"""Opening media files."""

import os
import re
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer

HANDED_ON = "tee"  # the format of an `open_handed_on`


def open_media(path: str | os.PathLike, mode: str = "r", **options: Any) -> InputContainer | OutputContainer:
    """`av.open` for a file: a colon in its name makes no protocol, and odd bytes in its metadata no error."""
    return av.open(str(Path(path).absolute()), mode, metadata_errors="replace", **options)


def open_handed_on(path: str | os.PathLike, kind: str, options: dict[str, str] | None = None) -> OutputContainer:
    """Open an output of FFmpeg's format `kind` that takes every stream which its muxer takes, chapters left out.

    `av.open` asks a list of codecs first, on which some are missing. FFmpeg's muxer "tee" has no such list, and hands
    all but chapters on to another.
    """
    settings = ":".join(f"{key}={value}" for key, value in {"f": kind, **(options or {})}.items())
    place = re.sub(r"([\\'|\s])", r"\\\1", str(Path(path).absolute()))
    return av.open(f"[{settings}]{place}", "w", format=HANDED_ON, metadata_errors="replace")
