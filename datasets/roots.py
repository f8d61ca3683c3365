"""Open training data by its roots, and join the triplets of several roots.

A root is the text after --data_root: a folder, or a description of made-up data. A mixture of roots can continue
without the samples that are missing or corrupt.
"""

import operator
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import utils

from .clips import GIB, VIDEO_SUFFIXES, ClipTriplets
from .shapes import MovingCutouts, MovingShapes
from .triplets import Triplet, TripletSource, Vimeo90K, Vimeo90KSeptuplets

#: The forms of roots of made-up triplets, as a regular expression and in words.
SIZE = r"(?::(\d+)x(\d+)(?:@(\d+))?)?"
SHAPES = (
    rf"shapes:(\d+){SIZE}()",
    "shapes:COUNT or shapes:COUNT:HEIGHTxWIDTH or shapes:COUNT:HEIGHTxWIDTH@MOTION, such as shapes:512:96x96@12",
)
CUTOUTS = (
    rf"cutouts:(\d+){SIZE}:(.+)",
    "cutouts:COUNT:ROOT or cutouts:COUNT:HEIGHTxWIDTH:ROOT or cutouts:COUNT:HEIGHTxWIDTH@MOTION:ROOT",
)


class Mixture(TripletSource):
    """A mixture: the triplets of several sources as one source. An epoch shows each triplet once.

    `mixture[i]` is a `Triplet`. `mixture.names[i]` begins with its source, as in "data/vimeo_triplet/00001/0001".
    With `skip_bad`, the next readable triplet takes the place of one that cannot be read. The choice is the same in
    every process and in every run. `mixture.skipped()` names what was replaced, whichever worker met it.

    Attributes:
        parts: the sources by their names.
        bad: (len,) bool in memory that workers share, True for the triplets that could not be read so far. Each
            process of a distributed run has its own; the maximum over all processes holds for the run.
    """

    def __init__(self, parts: Mapping[str, TripletSource], *, skip_bad: bool = False) -> None:
        """Join the sources, in the order given.

        Args:
            parts: the sources by their names.
            skip_bad: replace a triplet that cannot be read, instead of raising its error.
        Raises:
            ValueError: there is no source.
        """
        if not parts:
            raise ValueError("a mixture needs at least one source of triplets, got none")
        self.parts, self.skip_bad = dict(parts), skip_bad
        self.names = [f"{source}/{name}" for source, part in self.parts.items() for name in part.names]
        self.bad = torch.zeros(len(self.names), dtype=torch.bool).share_memory_()
        self.left_out = {f"{s}/{name}": why for s, part in self.parts.items() for name, why in part.left_out.items()}
        self.cached = sum(part.cached for part in self.parts.values())
        self._places = [(part, number) for part in self.parts.values() for number in range(len(part))]

    def __getitem__(self, index: int) -> Triplet:
        """Read one triplet, (3, H, W) uint8 each.

        Raises:
            IndexError: `index` is past the end.
            ValueError, OSError: the triplet cannot be read. With `skip_bad`: no triplet of the mixture can be read.
        """
        return self._first_good(index, operator.getitem)

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet whose inner frame is near `time`, and the time of that frame. Errors: as by index."""
        return self._first_good(index, lambda part, number: part.moment(number, time))

    def _first_good(self, index: int, read: Callable[[Any, int], Any]) -> Any:
        """Call `read(part, number in the part)` for a triplet. With `skip_bad`, go on until a triplet can be read."""
        if not 0 <= index < len(self):
            raise IndexError(f"no triplet {index}: there are {len(self)}")
        if not self.skip_bad:
            return read(*self._places[index])
        for candidate in range(index, index + len(self)):
            candidate %= len(self)
            try:
                return read(*self._places[candidate])
            except (ValueError, OSError) as error:
                self._note(candidate, error)
        raise ValueError(f"none of the {len(self)} triplets can be read, from {self.names[0]} to {self.names[-1]}")

    def skipped(self, bad: Tensor | None = None) -> list[str]:
        """Return the names of files that could not be opened and of triplets that could not be read so far.

        Args:
            bad: (len,) bool, the bad triplets of all processes of a run. Default: `bad` of this process.
        """
        numbers = (self.bad if bad is None else bad).nonzero().flatten().tolist()
        return [*self.left_out, *(self.names[number] for number in numbers)]

    def _note(self, index: int, error: Exception) -> None:
        if not self.bad[index]:
            self.bad[index] = True
            utils.logger.warning("%s is skipped: %s", self.names[index], error)


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
    """Open Vimeo90K's triplets or septuplets, a folder of short clips, or made-up triplets.

    A root of made-up triplets is "shapes:COUNT" or "shapes:COUNT:HEIGHTxWIDTH". With the frames of another root, it is
    "cutouts:COUNT:ROOT" or "cutouts:COUNT:HEIGHTxWIDTH:ROOT". If "@MOTION" follows the size, objects move by up to
    MOTION pixels from the first frame to the last, and turn and grow.

    Args:
        root: a folder, or one of these texts.
        split: "train" or "test". Clips have no splits.
        skip_bad, cache_gib, cache_folder, strides, show_progress: as `ClipTriplets` and `TripletDataset` take them.
    Raises:
        FileNotFoundError: there is no such folder, or it has another layout.
        ValueError: the folder holds both triplets and septuplets, the text has another form, or a class refuses it.
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
    **options: Any,
) -> Mixture:
    """Open one or several roots as a `Mixture`: one source with the triplets of all of them.

    Args:
        roots: one root or several, as `open_triplets` takes them.
        split: "train" or "test".
        skip_bad: leave out and count missing or corrupt samples (`Mixture.skipped`) instead of stopping. This is for
            training, not for evaluation: other samples take their places.
        cache_gib: GiB of decoded frames of clips to keep, over all roots.
        options: `cache_folder`, `strides` and `show_progress`, as `open_triplets` takes them.
    Raises:
        ValueError: there is no root, or two roots are the same data; else as `open_triplets`.
        FileNotFoundError: as `open_triplets`.
    """
    parts, seen = {}, {}
    for root in [roots] if isinstance(roots, str | os.PathLike) else roots:
        part = open_triplets(root, split, skip_bad=skip_bad, cache_gib=cache_gib, **options)
        cache_gib = max(0.0, cache_gib - part.cached / GIB)
        source = _source(part)
        if source in seen:
            raise ValueError(f"{root} and {seen[source]} are the same triplets; give each source once")
        seen[source] = root
        parts[str(root)] = part
    return Mixture(parts, skip_bad=skip_bad)


def _source(part: TripletSource) -> object:
    """Return a value that is equal for two sets with the same triplets.

    Two sets of made-up triplets have the same first triplets, even if their lengths differ.
    """
    if isinstance(part, MovingCutouts):
        return type(part), _source(part.frames)
    return type(part) if isinstance(part, MovingShapes) else part.root.resolve()


def _parse(spec: str, form: str, forms: str) -> tuple[int, dict[str, Any], str]:
    """Return the count, the options that are given, and the root of frames. Raise ValueError for another form."""
    match = re.fullmatch(form, spec)
    if not match:
        raise ValueError(f"{spec!r} must be {forms}")
    length, height, width, motion, source = match.groups()
    options: dict[str, Any] = {"size": (int(height), int(width))} if height else {}
    if motion:
        options |= {"motion": float(motion), "twist": True}
    return int(length), options, source
