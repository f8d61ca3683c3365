"""Folders of frame triplets: two input frames and the true frame between them."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from torch import Tensor
from torch.utils.data import Dataset

import utils

_CHECKING_THREADS = 16  # listing a folder waits for the disk, not for the processor


class Triplet(NamedTuple):
    """Three consecutive frames.

    img0, img1: the input frames, (3, H, W) uint8 RGB. imgt: the true frame between them, the same size.
    """

    img0: Tensor
    imgt: Tensor
    img1: Tensor


class TripletSource(Dataset):
    """The base of every source of triplets.

    Attributes:
        names: a name per triplet.
        left_out: files that could not be opened and have no triplets, with the reason of each; here none.
        cached: bytes of decoded frames that are kept; here none.
    """

    names: list[str]
    left_out: Mapping[str, str] = MappingProxyType({})
    cached: int = 0

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Triplet:
        """Read one triplet, (3, H, W) uint8 each."""
        raise NotImplementedError

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet with a frame near `time`, in [0, 1), in the middle, and the time of that frame."""
        raise NotImplementedError


class TripletDataset(TripletSource):
    """Triplets in folders, one folder a triplet: what every benchmark set of this field looks like.

    `dataset[i]` is a `Triplet`; `dataset.names[i]` is its name, the folder relative to `root`.
    """

    def __init__(
        self, root: str | os.PathLike, names: list[str], files: tuple[str, ...], *, skip_bad: bool = False
    ) -> None:
        """Note where the triplets lie and check, once, that every file is there.

        Args:
            root: the folder that holds the triplets' folders.
            names: one folder per triplet, relative to `root`.
            files: the file names of img0, imgt and img1 in each folder.
            skip_bad: log which triplets lack frames and keep their places; only reading one then fails.
        Raises:
            FileNotFoundError: frames are missing; all such triplets are counted and the first are named.
        """
        self.root, self.names, self.files = Path(root), names, files
        with ThreadPoolExecutor(_CHECKING_THREADS) as threads:
            complete = list(threads.map(self._is_complete, names, chunksize=64))
        missing = [name for name, whole in zip(names, complete, strict=True) if not whole]
        if not missing:
            return
        more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
        found = f"{len(missing)} of {len(names)} triplets lack frames in {self.root}: {', '.join(missing[:20])}{more}"
        if not skip_bad:
            raise FileNotFoundError(
                f"{found}; each folder must hold {', '.join(files)}: "
                "unpack the archive again, or take them off the list"
            )
        utils.logger.warning("%s", found)

    def __getitem__(self, index: int) -> Triplet:
        """Read one triplet. Grey, alpha and 16-bit files become 8-bit RGB with a logged warning.

        Raises:
            ValueError: a file is not a readable image, or the three frames differ in size.
        """
        return Triplet(*read_frames(self.paths(index)))

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet and the time of its middle frame, 1/2: there is no other frame between the outer two."""
        return self[index], 0.5

    def paths(self, index: int) -> tuple[Path, Path, Path]:
        """Return the files of img0, imgt and img1."""
        return tuple(self.root / self.names[index] / file for file in self.files)

    def _is_complete(self, name: str) -> bool:
        try:
            with os.scandir(self.root / name) as entries:
                found = {entry.name for entry in entries if entry.name in self.files and entry.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return False
        return found == set(self.files)


class Vimeo90K(TripletDataset):
    """The Vimeo90K triplets: 51,312 to train and 3,782 to test, 448x256.

    Also reads any data in the same layout.
    """

    def __init__(self, root: str | os.PathLike, split: str = "train", *, skip_bad: bool = False) -> None:
        """Read the list of a split and check that its frames are there.

        Args:
            root: the unpacked archive: the folder `vimeo_triplet`, or the one that contains it.
            split: "train" or "test".
            skip_bad: as for `TripletDataset`.
        Raises:
            FileNotFoundError: no such folder or list, or frames are missing.
            ValueError: another split, or a list without entries.
        """
        root, names = read_list(Path(root), "vimeo_triplet", "tri", split)
        super().__init__(root / "sequences", names, ("im1.png", "im2.png", "im3.png"), skip_bad=skip_bad)


class Vimeo90KSeptuplets(TripletDataset):
    """Three of the seven frames of the Vimeo90K septuplets: 64,612 folders to train and 7,824 to test, 448x256.

    To train, every three consecutive frames of a folder are a triplet, five in each: the same step in time as that of
    the Vimeo90K triplets. To test, frames 3, 4 and 5, around the middle one. Names are "00001/0001:3", 3 being img0.
    """

    def __init__(self, root: str | os.PathLike, split: str = "train", *, skip_bad: bool = False) -> None:
        """Arguments and errors as those of `Vimeo90K`; the folder is `vimeo_septuplet`, or the one that contains it."""
        root, folders = read_list(Path(root), "vimeo_septuplet", "sep", split)
        firsts = range(1, 6) if split == "train" else range(3, 4)
        files = tuple(f"im{k}.png" for k in range(firsts[0], firsts[-1] + 3))
        super().__init__(root / "sequences", folders, files, skip_bad=skip_bad)
        self._folders, self._firsts = folders, firsts
        self.names = [f"{folder}:{first}" for folder in folders for first in firsts]

    def paths(self, index: int) -> tuple[Path, Path, Path]:
        """Return the files of img0, imgt and img1."""
        folder, position = divmod(range(len(self))[index], len(self._firsts))
        first = self._firsts[position]
        return tuple(self.root / self._folders[folder] / f"im{k}.png" for k in range(first, first + 3))


def read_frames(paths: Sequence[Path]) -> list[Tensor]:
    """Read image files that belong together: (3, H, W) uint8 RGB each, as `utils.read_image` converts them.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: one is not a readable image, or they differ in size.
    """
    frames = [(utils.read_image(path)[0] * 255).round().byte() for path in paths]
    if len({frame.shape for frame in frames}) > 1:
        sizes = (f"{path} is {f.shape[1]}x{f.shape[2]}" for path, f in zip(paths, frames, strict=True))
        raise ValueError(f"frames that belong together must have one size (height x width): {', '.join(sizes)}")
    return frames


def read_list(root: Path, archive: str, kind: str, split: str) -> tuple[Path, list[str]]:
    """Return the folder with a list of a split ("tri_trainlist.txt"), `root` or `root/archive`, and its names."""
    if split not in ("train", "test"):
        raise ValueError(f'split must be "train" or "test", got {split!r}')
    if (root / archive).is_dir():
        root = root / archive
    path = root / f"{kind}_{split}list.txt"
    if not path.is_file():
        missing = f"list at {path}" if root.is_dir() else f"folder at {root}"
        raise FileNotFoundError(
            f"no {missing}; the Vimeo90K layout is needed: "
            f"{path.name} beside sequences/00001/0001/im1.png, im2.png, im3.png and so on"
        )
    names = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if not names:
        raise ValueError(f"{path} lists no triplet; each line must name one, such as 00001/0001")
    return root, names
