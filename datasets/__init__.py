"""Triplets of frames to train and evaluate on: (img0, imgt, img1), imgt in the middle."""

from .augment import TrainingAugmentation
from .clips import ClipTriplets
from .mixture import Mixture
from .opening import open_mixture, open_triplets
from .shapes import MovingShapes, TrueMotion
from .training import EpochSampler, TrainingSet
from .triplets import Triplet, TripletDataset, Vimeo90K, Vimeo90KSeptuplets

__all__ = [
    "ClipTriplets",
    "EpochSampler",
    "Mixture",
    "MovingShapes",
    "TrainingAugmentation",
    "TrainingSet",
    "Triplet",
    "TripletDataset",
    "TrueMotion",
    "Vimeo90K",
    "Vimeo90KSeptuplets",
    "open_mixture",
    "open_triplets",
]
