"""Triplets of frames to train and evaluate on: (img0, imgt, img1), imgt in the middle."""

import os
from pathlib import Path

from .augment import TrainingAugmentation
from .clips import VIDEO_SUFFIXES, ClipTriplets
from .training import EpochSampler, TrainingSet
from .triplets import Triplet, TripletDataset, Vimeo90K

__all__ = [
    "ClipTriplets",
    "EpochSampler",
    "TrainingAugmentation",
    "TrainingSet",
    "Triplet",
    "TripletDataset",
    "Vimeo90K",
    "open_triplets",
]


def open_triplets(root: str | os.PathLike, split: str) -> Vimeo90K | ClipTriplets:
    """Vimeo90K's layout, or a folder of short clips, whichever `root` is. Errors as those of the two classes."""
    root = Path(root)
    is_clips = root.is_dir() and any(path.suffix.lower() in VIDEO_SUFFIXES for path in root.iterdir())
    return ClipTriplets(root) if is_clips else Vimeo90K(root, split)
