"""From what a command line names to triplets."""

import os
from pathlib import Path

from .clips import VIDEO_SUFFIXES, ClipTriplets
from .shapes import MovingShapes
from .triplets import Vimeo90K


def open_triplets(root: str | os.PathLike, split: str) -> Vimeo90K | ClipTriplets | MovingShapes:
    """Vimeo90K's layout, a folder of short clips, or "shapes:COUNT", whichever `root` is. Errors as of the classes."""
    if str(root).startswith("shapes:"):
        return MovingShapes.from_spec(str(root), split)
    root = Path(root)
    is_clips = root.is_dir() and any(path.suffix.lower() in VIDEO_SUFFIXES for path in root.iterdir())
    return ClipTriplets(root) if is_clips else Vimeo90K(root, split)
