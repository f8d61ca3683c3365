"""Triplets of frames to train and evaluate on: (img0, imgt, img1), imgt in the middle."""

from .augment import TrainingAugmentation
from .clips import ClipTriplets
from .opening import open_triplets
from .shapes import MovingShapes, TrueMotion
from .training import EpochSampler, TrainingSet
from .triplets import Triplet, TripletDataset, Vimeo90K

__all__ = [
    "ClipTriplets",
    "EpochSampler",
    "MovingShapes",
    "TrainingAugmentation",
    "TrainingSet",
    "Triplet",
    "TripletDataset",
    "TrueMotion",
    "Vimeo90K",
    "open_triplets",
]
