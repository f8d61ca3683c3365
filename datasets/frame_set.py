"""What every benchmark set is: named samples of consecutive frames, found in the layout that was published."""

import abc
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

import utils

from .triplets import read_frames

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
HIDDEN = (".", "__MACOSX")  # files and folders beginning so hold no frames, the latter what macOS packs beside them
Files = tuple[Path, ...]


class FrameSet(Dataset, abc.ABC):
    """Samples of 2^n + 1 frames in the order of time: the outer two go in, those between are to be predicted.

    `dataset[i]` is a tuple of (3, H, W) uint8 RGB frames, `dataset.names[i]` its name.

    Attributes, which a set gives as its own:
        title: the set's name, also of its folder of results.
        source: what to download, and where: the name and the title of the page.
        layout: what the folder must hold.
        published: number of samples that the published tables are means of; None where there is no such table.
        luma: whether the published figure is the PSNR of the luma channel.
        by_clip: whether it is the mean over clips of the means over their frames; names are "clip:sample" then.
    """

    title: str
    source: str
    layout: str
    published: int | None = None
    luma: bool = False
    by_clip: bool = False

    def __init__(self, root: str | os.PathLike) -> None:
        """Find the samples. Single files may be missing or broken: that is noticed, and named, when they are read.

        Args:
            root: the unpacked archive, or the folder that contains it.
        Raises:
            FileNotFoundError: no such folder or list, no sample, or none with all its files: with the path that was
                looked at, what to download from where, and the layout.
            ValueError: a list that cannot be read.
        """
        self.root = Path(root)
        try:
            if not self.root.is_dir():
                raise FileNotFoundError(f"no folder at {self.root}")
            samples = self.find(self.root)
            self.names, self._files = list(samples), list(samples.values())
            if not samples:
                raise FileNotFoundError(f"no sample in {self.root}")
            if not any(all(file.is_file() for file in files) for files in self._files):
                first = next(file for file in self._files[0] if not file.is_file())
                raise FileNotFoundError(f"none of {len(self)} samples is complete: there is no {first}, for example")
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{error}; {self.title} is needed: {self.source}. Layout: {self.layout}") from error
        if self.published not in (None, len(self)):
            utils.logger.warning(
                "%s: %d samples, published tables have %d: not comparable", self.title, len(self), self.published
            )

    @property
    def settings(self) -> dict[str, int]:
        """Options that decide the frames besides the title."""
        return {}

    @abc.abstractmethod
    def find(self, root: Path) -> Mapping[str, Files]:
        """The files of every sample by its name, in the order of time. Raises FileNotFoundError for a wrong layout."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """(3, H, W) uint8 each; of sets that are halved without rounding float32 of the same range.

        Raises:
            FileNotFoundError, ValueError: a file is missing or no image, or the frames differ in size.
        """
        return tuple(self.prepare(frame) for frame in read_frames(self._files[index]))

    def prepare(self, frame: Tensor) -> Tensor:
        """What the protocol does to a frame (3, H, W) uint8 before it is used; here nothing."""
        return frame

    def files(self, index: int) -> Files:
        """The files that a sample is read from."""
        return self._files[index]


def inner(root: Path, *folders: str) -> Path:
    """The first of `folders` that `root` holds, else `root`: so that the folder around an archive is as good."""
    return next((root / folder for folder in folders if (root / folder).is_dir()), root)


def shown(folder: Path) -> Iterator[Path]:
    """What a folder holds, without `HIDDEN`."""
    return (path for path in folder.iterdir() if not path.name.startswith(HIDDEN))


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder by name, 2 before 10; hidden ones are none."""
    return utils.natural_order(path for path in shown(folder) if path.suffix.lower() in IMAGE_SUFFIXES)


def folders_in(folder: Path) -> list[Path]:
    """Its folders by name, 2 before 10; hidden ones are none."""
    return utils.natural_order(path for path in shown(folder) if path.is_dir())


def windows(count: int, length: int, *, stride: int) -> list[range]:
    """Positions of all whole windows of `length` frames among `count`, `stride` apart."""
    return [range(first, first + length) for first in range(0, count - length + 1, stride)]


def clip_windows(root: Path, clips: list[Path], *, length: int, stride: int, step: int = 1) -> dict[str, Files]:
    """Windows of every clip (a folder of images), every `step`-th frame of each: named "clip:number of the first".

    Clips that are too short, or whose numbers jump, are told.
    """
    samples, needed = {}, (length - 1) * step + 1
    for clip in clips:
        images = images_in(clip)
        name = root.resolve().name if clip == root else clip.relative_to(root).as_posix()
        if 0 < len(images) < needed:
            utils.logger.warning("%s is left out: %d images, %d are needed", clip, len(images), needed)
        elif gap := _gap(images):
            utils.logger.warning("%s: numbers jump between %s and %s, as if frames were missing", clip, *gap)
        for window in windows(len(images), needed, stride=stride):
            samples[f"{name}:{window[0]}"] = tuple(images[position] for position in window[::step])
    return samples


def half_size(frame: Tensor) -> Tensor:
    """(3, H, W) uint8 at half the size: means of 2x2 pixels, float32 in [0, 255], not rounded.

    An odd last row or column is dropped.
    """
    return F.avg_pool2d(frame.float(), 2)


def centre_crop(frame: Tensor, height: int, width: int) -> Tensor:
    """The middle of (3, H, W); an axis that is shorter stays whole."""
    top, left = max(0, frame.shape[-2] - height) // 2, max(0, frame.shape[-1] - width) // 2
    return frame[:, top : top + height, left : left + width]


def _gap(images: list[Path]) -> tuple[str, str] | None:
    """The names around the first place where numbers go further than elsewhere."""
    ends = [re.search("[0-9]+$", image.stem) for image in images]
    if None in ends:
        return None
    numbers = [int(end[0]) for end in ends]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    place = next((position for position, step in enumerate(steps) if step > min(steps)), None)
    return None if place is None else (images[place].name, images[place + 1].name)
