"""The base of the benchmark sets: samples of consecutive frames, found in the layout that was published.

`Folder` is such a set, made of any folder of triplets or clips.
"""

import abc
import functools
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

import utils

from .clips import VIDEO_SUFFIXES, decode_clip
from .triplets import FrameSource, read_frames

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
HIDDEN = (".", "__MACOSX")  # beginnings of names of files and folders without frames; macOS packs the latter
Files = tuple[Path, ...]


class FrameSet(FrameSource, abc.ABC):
    """A benchmark set. A sample has 2^n + 1 frames: the outer two are inputs, and the others are to be predicted.

    `dataset[i]` is a tuple of (3, H, W) uint8 RGB frames in the order of time. `dataset.names[i]` is its name.

    A subclass defines these attributes besides those of `FrameSource`:
        source: what to download, as the name of the file and the title of the page.
        layout: the files and folders that the root must hold.
        published: the number of samples behind the published tables, or None if there is no such table.
    """

    source: str
    layout: str
    published: int | None = None

    def __init__(self, root: str | os.PathLike) -> None:
        """Find the samples. A single file that is missing or damaged is reported later, when it is read.

        Args:
            root: the unpacked archive, or the folder that contains it.
        Raises:
            FileNotFoundError: no folder, list or sample is found, or no sample is complete. The message names the
                path, the download and the layout.
            ValueError: the list of samples cannot be read.
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

    @abc.abstractmethod
    def find(self, root: Path) -> Mapping[str, Files]:
        """Find the files of each sample, in the order of time, by the sample's name.

        Raises:
            FileNotFoundError: the folder has another layout.
        """

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """Read the frames of a sample.

        Returns:
            (3, H, W) uint8 each. A set that halves its frames without rounding returns float32 in [0, 255].
        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is not an image, or the frames differ in size.
        """
        return tuple(self.prepare(frame) for frame in read_frames(self._files[index]))

    def prepare(self, frame: Tensor) -> Tensor:
        """Scale or crop a frame (3, H, W) uint8 as the protocol of the set demands. By default, return it unchanged."""
        return frame

    def files(self, index: int) -> Files:
        """Return the files that a sample is read from."""
        return self._files[index]


def inner(root: Path, *folders: str) -> Path:
    """Return the first of `folders` that exists inside `root`, else `root` itself.

    Thus a user may name the unpacked archive or the folder that contains it.
    """
    return next((root / folder for folder in folders if (root / folder).is_dir()), root)


def shown(folder: Path) -> Iterator[Path]:
    """Return the files and folders in a folder, without those whose names begin with `HIDDEN`."""
    return (path for path in folder.iterdir() if not path.name.startswith(HIDDEN))


def images_in(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted by name with 2 before 10, without hidden ones."""
    return utils.natural_order(path for path in shown(folder) if path.suffix.lower() in IMAGE_SUFFIXES)


def folders_in(folder: Path) -> list[Path]:
    """Return the folders inside a folder, sorted by name with 2 before 10, without hidden ones."""
    return utils.natural_order(path for path in shown(folder) if path.is_dir())


def windows(count: int, length: int, *, stride: int) -> list[range]:
    """Return the positions of all whole windows of `length` frames among `count` frames, `stride` apart."""
    return [range(first, first + length) for first in range(0, count - length + 1, stride)]


def clip_windows(root: Path, clips: list[Path], *, length: int, stride: int, step: int = 1) -> dict[str, Files]:
    """Return the files of all windows of clips, by the names "clip:number of the first frame".

    A warning is logged for a clip that is too short or whose numbers jump.

    Args:
        clips: folders of images inside `root`.
        length: frames per window.
        stride: frames from the beginning of a window to the beginning of the next one.
        step: frames of the clip from one frame of a window to its next one.
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
    """Scale (3, H, W) uint8 to half the size by means of 2x2 pixels: float32 in [0, 255], not rounded.

    An odd last row or column is dropped.
    """
    return F.avg_pool2d(frame.float(), 2)


def centre_crop(frame: Tensor, height: int, width: int) -> Tensor:
    """Crop the middle of (3, H, W). A side that is shorter than asked for stays whole."""
    top, left = max(0, frame.shape[-2] - height) // 2, max(0, frame.shape[-1] - width) // 2
    return frame[:, top : top + height, left : left + width]


def _gap(images: list[Path]) -> tuple[str, str] | None:
    """Return the two names at the first place where the numbers jump, or None if they do not."""
    ends = [re.search("[0-9]+$", image.stem) for image in images]
    if None in ends:
        return None
    numbers = [int(end[0]) for end in ends]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    place = next((position for position, step in enumerate(steps) if step > min(steps)), None)
    return None if place is None else (images[place].name, images[place + 1].name)


class Folder(FrameSet):
    """Windows of `multiplier` + 1 frames of every clip below a folder.

    A clip is a video, or a folder of numbered images.
    Neighbouring windows share their outer frames, so that every frame between them is predicted once. A folder of three
    images is a triplet. Videos are decoded completely, one at a time.
    """

    source = "any folder of your own"
    layout = "short videos, or folders of images whose names sort by time: <clip>/0001.png, 0002.png, 0003.png, ..."

    def __init__(self, root: str | os.PathLike, multiplier: int = 2) -> None:
        """Find the clips.

        Args:
            root: the folder.
            multiplier: 2, 4, 8, ...; of every `multiplier` frames, all but the first are predicted.
        Raises:
            FileNotFoundError: there is no such folder, or it has no clip.
            ValueError: another multiplier.
        """
        if multiplier < 2 or multiplier & (multiplier - 1):
            raise ValueError(f"multiplier must be 2, 4, 8, ..., got {multiplier}")
        self.multiplier = multiplier
        self.title = Path(root).resolve().name + (f"-x{multiplier}" if multiplier > 2 else "")
        super().__init__(root)

    def find(self, root: Path) -> Mapping[str, Files]:
        length, stride = self.multiplier + 1, self.multiplier
        folders = (Path(path) for path, _, _ in sorted(os.walk(root)))
        clips = [folder for folder in folders if not any(p.startswith(HIDDEN) for p in folder.relative_to(root).parts)]
        samples = clip_windows(root, clips, length=length, stride=stride)
        self._windows: dict[str, range] = {}
        for video in sorted(path for clip in clips for path in shown(clip) if path.suffix.lower() in VIDEO_SUFFIXES):
            name = video.relative_to(root).as_posix()
            try:
                count = len(_decode(video))
            except ValueError:  # the video becomes one sample; reading it fails, and the report says why
                count = length
            for window in windows(count, length, stride=stride):
                samples[f"{name}:{window[0]}"] = (video,)
                self._windows[f"{name}:{window[0]}"] = window
        return samples

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        window = self._windows.get(self.names[index])
        if window is None:
            return super().__getitem__(index)
        (video,) = self.files(index)
        return tuple(_decode(video)[window.start : window.stop])


@functools.lru_cache(maxsize=1)  # samples come clip by clip
def _decode(video: Path) -> Tensor:
    return decode_clip(video)
