"""Opening media files."""

import os
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer


def open_media(path: str | os.PathLike, mode: str = "r", **options: Any) -> InputContainer | OutputContainer:
    """`av.open` for a file: a colon in its name makes no protocol, and odd bytes in its metadata no error."""
    return av.open(str(Path(path).absolute()), mode, metadata_errors="replace", **options)
