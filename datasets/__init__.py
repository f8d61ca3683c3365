"""The data sets: triplets (img0, imgt, img1) for training, and the published sets for evaluation."""

from .augment import TrainingAugmentation
from .clips import ClipTriplets
from .frame_set import Folder, FrameSet
from .loading import EpochSampler, Loader, Sample, TrainingSet, watched
from .published_clips import HD, Adobe240, GoPro, XTest
from .published_triplets import ATD12K, UCF101, Middlebury, SNUFilm, Vimeo90KTest, Xiph
from .roots import Mixture, open_mixture, open_triplets
from .shapes import MovingCutouts, MovingShapes
from .triplets import FrameSource, Triplet, TripletDataset, TripletSource, Vimeo90K, Vimeo90KSeptuplets

__all__ = [
    "ATD12K",
    "HD",
    "UCF101",
    "Adobe240",
    "ClipTriplets",
    "EpochSampler",
    "Folder",
    "FrameSet",
    "FrameSource",
    "GoPro",
    "Loader",
    "Middlebury",
    "Mixture",
    "MovingCutouts",
    "MovingShapes",
    "SNUFilm",
    "Sample",
    "TrainingAugmentation",
    "TrainingSet",
    "Triplet",
    "TripletDataset",
    "TripletSource",
    "Vimeo90K",
    "Vimeo90KSeptuplets",
    "Vimeo90KTest",
    "XTest",
    "Xiph",
    "open_mixture",
    "open_triplets",
    "watched",
]
