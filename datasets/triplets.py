"""The base of all data sets, and folders of triplets: two input frames and the true frame between them."""

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
    """Three frames in the order of time, (3, H, W) uint8 RGB each.

    img0: the first input frame.
    imgt: the true frame between the input frames.
    img1: the last input frame.
    """

    img0: Tensor
    imgt: Tensor
    img1: Tensor


class FrameSource(Dataset):
    """The base of all data sets, for training and for evaluation: named samples of consecutive frames.

    Attributes:
        names: the name of each sample.
        title: the name of the set in reports; empty if it has none.
        luma: True if the published figure is the PSNR of the luma channel.
        by_clip: True if the published figure is the mean over clips of the means over their frames. The names are
            "clip:sample" then.
    """

    names: list[str]
    title: str = ""
    luma: bool = False
    by_clip: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """Read the frames of a sample in the order of time, (3, H, W) uint8 RGB each."""
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, int]:
        """The options that change the frames of a set without changing its title."""
        return {}

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the files that a sample is read from, or an empty tuple if it is made up."""
        return ()


class TripletSource(FrameSource):
    """The base of the data sets for training: every sample is a `Triplet`.

    Attributes:
        left_out: the reason for each file that could not be opened and therefore has no triplets, by its name.
        cached: bytes of decoded frames that are kept.
    """

    left_out: Mapping[str, str] = MappingProxyType({})
    cached: int = 0

    def __getitem__(self, index: int) -> Triplet:
        """Read one triplet, (3, H, W) uint8 each."""
        raise NotImplementedError

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet whose inner frame is near `time`, in [0, 1), and the time of that frame."""
        raise NotImplementedError


class TripletDataset(TripletSource):
    """Triplets in folders, one folder per triplet.

    `dataset[i]` is a `Triplet`. `dataset.names[i]` is its name, the folder relative to `root`.
    """

    def __init__(
        self, root: str | os.PathLike, names: list[str], files: tuple[str, ...], *, skip_bad: bool = False
    ) -> None:
        """Check once that every file exists.

        Args:
            root: the folder that holds the triplets' folders.
            names: one folder per triplet, relative to `root`.
            files: the file names of img0, imgt and img1 in each folder.
            skip_bad: log which triplets lack frames, and keep their places. Reading such a triplet fails later.
        Raises:
            FileNotFoundError: frames are missing. The message counts the incomplete triplets and names the first.
        """
        self.root, self.names, self._files = Path(root), names, files
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
        return Triplet(*read_frames(self.files(index)))

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet and the time of its middle frame, 1/2. There is no other frame between the outer two."""
        return self[index], 0.5

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the files of img0, imgt and img1."""
        return tuple(self.root / self.names[index] / file for file in self._files)

    def _is_complete(self, name: str) -> bool:
        try:
            with os.scandir(self.root / name) as entries:
                found = {entry.name for entry in entries if entry.name in self._files and entry.is_file()}
        except (FileNotFoundError, NotADirectoryError):
            return False
        return found == set(self._files)


class Vimeo90K(TripletDataset):
    """The Vimeo90K triplets: 51,312 to train and 3,782 to test, 448x256.

    Also reads any data in the same layout.
    """

    def __init__(self, root: str | os.PathLike, split: str = "train", *, skip_bad: bool = False) -> None:
        """Read the list of a split and check that its frames exist.

        Args:
            root: the unpacked archive, the folder `vimeo_triplet`, or the folder that contains it.
            split: "train" or "test".
            skip_bad: as for `TripletDataset`.
        Raises:
            FileNotFoundError: there is no such folder or list, or frames are missing.
            ValueError: another split, or an empty list.
        """
        root, names = read_list(Path(root), "vimeo_triplet", "tri", split)
        super().__init__(root / "sequences", names, ("im1.png", "im2.png", "im3.png"), skip_bad=skip_bad)


class Vimeo90KSeptuplets(TripletDataset):
    """Triplets out of the Vimeo90K septuplets: 64,612 folders to train and 7,824 to test, 448x256.

    For training, every three consecutive frames of a folder are a triplet, five per folder. Their step in time is that
    of the Vimeo90K triplets. For testing, frames 3, 4 and 5 of each folder are the triplet.
    Names are such as "00001/0001:3", where 3 is the number of img0.
    """

    def __init__(self, root: str | os.PathLike, split: str = "train", *, skip_bad: bool = False) -> None:
        """Take the arguments of `Vimeo90K` and raise its errors. The folder's name is `vimeo_septuplet`."""
        root, folders = read_list(Path(root), "vimeo_septuplet", "sep", split)
        firsts = range(1, 6) if split == "train" else range(3, 4)
        files = tuple(f"im{k}.png" for k in range(firsts[0], firsts[-1] + 3))
        super().__init__(root / "sequences", folders, files, skip_bad=skip_bad)
        self.names = [f"{folder}:{first}" for folder in folders for first in firsts]

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the files of img0, imgt and img1."""
        folder, _, first = self.names[index].rpartition(":")
        return tuple(self.root / folder / f"im{k}.png" for k in range(int(first), int(first) + 3))


def read_frames(paths: Sequence[Path]) -> list[Tensor]:
    """Read the image files of one sample as `utils.read_image` does: (3, H, W) uint8 RGB each.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is not a readable image, or the frames differ in size.
    """
    frames = [(utils.read_image(path)[0] * 255).round().byte() for path in paths]
    if len({frame.shape for frame in frames}) > 1:
        sizes = (f"{path} is {f.shape[1]}x{f.shape[2]}" for path, f in zip(paths, frames, strict=True))
        raise ValueError(f"frames that belong together must have one size (height x width): {', '.join(sizes)}")
    return frames


def read_list(root: Path, archive: str, kind: str, split: str) -> tuple[Path, list[str]]:
    """Read the list of a split, such as "tri_trainlist.txt".

    Returns:
        The folder that holds the list, which is `root` or `root/archive`, and the names in the list.
    Raises:
        FileNotFoundError: there is no such folder or list.
        ValueError: another split, or an empty list.
    """
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
