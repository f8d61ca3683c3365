"""The roots of training data, as a command line names them, opened as triplets."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .clips import GIB, VIDEO_SUFFIXES, ClipTriplets
from .mixture import Mixture
from .shapes import MovingCutouts, MovingShapes
from .triplets import TripletSource, Vimeo90K, Vimeo90KSeptuplets

#: Made-up triplets: what they may look like, as an expression and in words.
SIZE = r"(?::(\d+)x(\d+)(?:@(\d+))?)?"
SHAPES = (
    rf"shapes:(\d+){SIZE}()",
    "shapes:COUNT or shapes:COUNT:HEIGHTxWIDTH or shapes:COUNT:HEIGHTxWIDTH@MOTION, such as shapes:512:96x96@12",
)
CUTOUTS = (
    rf"cutouts:(\d+){SIZE}:(.+)",
    "cutouts:COUNT:ROOT or cutouts:COUNT:HEIGHTxWIDTH:ROOT or cutouts:COUNT:HEIGHTxWIDTH@MOTION:ROOT",
)


def open_triplets(
    root: str | os.PathLike,
    split: str,
    *,
    skip_bad: bool = False,
    cache_gib: float = 8.0,
    cache_folder: str | os.PathLike | None = None,
    strides: Sequence[int] = (1,),
    show_progress: bool = False,
) -> TripletSource:
    """Open what `root` is: Vimeo90K's triplets or septuplets, a folder of short clips, or made-up triplets.

    These are "shapes:COUNT" or "shapes:COUNT:HEIGHTxWIDTH", or with the frames of another root "cutouts:COUNT:ROOT" or
    "cutouts:COUNT:HEIGHTxWIDTH:ROOT". With "@MOTION" behind the size they move by up to that many pixels from the first
    frame to the last, and turn and grow as well.

    Args:
        split: "train" or "test"; clips have none.
        skip_bad, cache_gib, cache_folder, strides, show_progress: as the classes take them.
    Raises:
        ValueError: the folder holds triplets and septuplets; another form of made-up triplets; else as the classes do.
    """
    options = {"cache_gib": cache_gib, "cache_folder": cache_folder}
    options |= {"skip_bad": skip_bad, "show_progress": show_progress}
    if str(root).startswith("shapes:"):
        length, made_up, _ = _parse(str(root), *SHAPES)
        return MovingShapes(length, split, **made_up)
    if str(root).startswith("cutouts:"):
        length, made_up, source = _parse(str(root), *CUTOUTS)
        return MovingCutouts(open_triplets(source, split, **options), length, split, **made_up)
    root = Path(root)
    if root.is_dir() and any(path.suffix.lower() in VIDEO_SUFFIXES for path in root.iterdir()):
        return ClipTriplets(root, strides=strides, **options)
    kinds = {"vimeo_triplet": ("tri", Vimeo90K), "vimeo_septuplet": ("sep", Vimeo90KSeptuplets)}
    found = [
        (archive, reader)
        for archive, (kind, reader) in kinds.items()
        if (root / archive).is_dir() or any(root.glob(f"{kind}_*list.txt"))
    ]
    if len(found) > 1:
        raise ValueError(f"{root} holds both triplets and septuplets; name {' or '.join(kinds)} inside it, or both")
    reader = found[0][1] if found else Vimeo90K
    return reader(root, split, skip_bad=skip_bad)


def open_mixture(
    roots: str | os.PathLike | Sequence[str | os.PathLike],
    split: str,
    *,
    skip_bad: bool = False,
    cache_gib: float = 8.0,
    cache_folder: str | os.PathLike | None = None,
    strides: Sequence[int] = (1,),
    show_progress: bool = False,
) -> Mixture:
    """Open one or several roots as one set of triplets, every one of them once.

    Args:
        roots: one, or several, each as `open_triplets` takes it.
        split: "train" or "test".
        skip_bad: leave out what is missing or corrupt and count it (`Mixture.skipped`) instead of stopping. To train,
            not to evaluate: others take the places of what is left out.
        cache_gib: decoded frames of clips to keep, in GiB, over all roots.
        cache_folder: where to keep them, as files that processes and later runs share; default: in memory.
        strides: of triplets in clips, see `ClipTriplets`.
        show_progress: draw a bar while clips are decoded.
    Raises:
        ValueError: no root, or two that are the same data; else as `open_triplets` does.
    """
    parts, seen = {}, {}
    for root in [roots] if isinstance(roots, str | os.PathLike) else roots:
        options = {"skip_bad": skip_bad, "cache_folder": cache_folder, "strides": strides}
        options["show_progress"] = show_progress
        part = open_triplets(root, split, cache_gib=cache_gib, **options)
        cache_gib = max(0.0, cache_gib - part.cached / GIB)
        source = _source(part)
        if source in seen:
            raise ValueError(f"{root} and {seen[source]} are the same triplets; give each source once")
        seen[source] = root
        parts[str(root)] = part
    return Mixture(parts, skip_bad=skip_bad)


def _source(part: TripletSource) -> object:
    """Return a value that is equal for two sets with the same triplets.

    Made-up triplets are the same from the first on, however many there are.
    """
    if isinstance(part, MovingCutouts):
        return type(part), _source(part.frames)
    return type(part) if isinstance(part, MovingShapes) else part.root.resolve()


def _parse(spec: str, form: str, forms: str) -> tuple[int, dict[str, Any], str]:
    """Return the count, the size and motion that are given, and the root of frames. Raises ValueError: another form."""
    match = re.fullmatch(form, spec)
    if not match:
        raise ValueError(f"{spec!r} must be {forms}")
    length, height, width, motion, source = match.groups()
    options: dict[str, Any] = {"size": (int(height), int(width))} if height else {}
    if motion:
        options |= {"motion": float(motion), "twist": True}
    return int(length), options, source
