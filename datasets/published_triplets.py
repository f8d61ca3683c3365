"""The published benchmark sets of triplets: two input frames, and the true frame in the middle."""

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

import utils

from .frame_set import Files, FrameSet, centre_crop, folders_in, half_size, inner
from .roots import open_triplets
from .triplets import TripletDataset, read_list


class Vimeo90KTest(FrameSet):
    """The 3,782 test triplets of Vimeo90K, or frames 3 to 5 of its 7,824 test septuplets, 448x256.

    Also reads the archive of the test set alone, vimeo_interp_test, with "input" and "target" instead of "sequences".
    """

    title = "Vimeo90K"
    source = (
        '"vimeo_triplet.zip" (or "vimeo_interp_test.zip", "vimeo_septuplet.zip") of the page "Video Enhancement with '
        'Task-Oriented Flow"'
    )
    layout = "vimeo_triplet/tri_testlist.txt beside vimeo_triplet/sequences/00001/0001/im1.png, im2.png, im3.png, ..."

    def find(self, root: Path) -> Mapping[str, Files]:
        alone = inner(root, "vimeo_interp_test")
        if (alone / "target").is_dir():
            _, names = read_list(alone, "vimeo_interp_test", "tri", "test")
            files = [tuple(_parted(alone, f"{name}/im{k}.png") for k in (1, 2, 3)) for name in names]
        else:
            triplets = open_triplets(root, "test", skip_bad=True)
            if not isinstance(triplets, TripletDataset):
                raise FileNotFoundError(f"{root} holds videos, which benchmark/Folder.py evaluates")
            names, files = triplets.names, [triplets.files(index) for index in range(len(triplets))]
        septuplets = ":" in names[0]
        self.published = 7824 if septuplets else 3782
        self.title = "Vimeo90K-septuplet" if septuplets else "Vimeo90K"
        if again := len(names) - len(set(names)):
            utils.logger.warning("%s: %d lines of the list repeat others; each sample counts once", self.title, again)
        return dict(zip(names, files, strict=True))


def _parted(root: Path, file: str) -> Path:
    """Return the file of a frame of vimeo_interp_test."""
    target = root / "target" / file
    return target if target.is_file() else root / "input" / file


class UCF101(FrameSet):
    """The 379 triplets of UCF101 that were chosen for Deep Voxel Flow, 256x256."""

    title, published = "UCF101", 379
    source = '"ucf101_interp_ours.zip" (testing data) of the page "Video Frame Synthesis using Deep Voxel Flow"'
    layout = "ucf101_interp_ours/1/frame_00.png, frame_01_gt.png, frame_02.png, ..."

    def find(self, root: Path) -> Mapping[str, Files]:
        names = ("frame_00.png", "frame_01_gt.png", "frame_02.png")
        folders = folders_in(inner(root, "ucf101_interp_ours"))
        return {folder.name: tuple(folder / name for name in names) for folder in folders}


class SNUFilm(FrameSet):
    """SNU-FILM: 310 triplets per difficulty, mostly 1280x720.

    The difficulty grows with the distance of the frames, from neighbouring ones (easy) to 16 frames apart (extreme).
    """

    modes = ("easy", "medium", "hard", "extreme")
    published = 310
    source = (
        '"SNU-FILM" (test set and eval_modes) of the page "Channel Attention Is All You Need for Video Frame '
        'Interpolation"'
    )
    layout = "eval_modes/test-easy.txt, ... (or test-easy.txt, ...) beside test/GOPRO_test and test/YouTube_test"

    def __init__(self, root: str | os.PathLike, mode: str) -> None:
        """Read the list of a difficulty.

        Args:
            root: the unpacked archive, or the folder that contains it.
            mode: the difficulty, one of `modes`.
        Raises:
            FileNotFoundError: as `FrameSet`.
            ValueError: another mode, or a line of the list does not name three files.
        """
        if mode not in self.modes:
            raise ValueError(f"mode must be one of {', '.join(self.modes)}, got {mode!r}")
        self.mode, self.title = mode, f"SNU-FILM-{mode}"
        super().__init__(root)

    def find(self, root: Path) -> Mapping[str, Files]:
        root = inner(root, "SNU-FILM", "SNU_FILM")
        path = inner(root, "eval_modes") / f"test-{self.mode}.txt"
        if not path.is_file():
            raise FileNotFoundError(f"no list at {path}")
        samples = {}
        for number, line in enumerate(path.read_text().splitlines(), 1):
            entries = line.split()
            if entries and len(entries) != 3:
                raise ValueError(f"{path}, line {number}: three files are needed, got {line.strip()!r}")
            if entries:
                # Names in the lists begin with data/SNU-FILM/test, wherever the set was unpacked.
                inside = [Path(f"/{entry}".rpartition("/test/")[2].removeprefix("/")) for entry in entries]
                name = f"{inside[1].parent.as_posix()}/{inside[1].stem} (line {number})"
                samples[name] = tuple(inner(root, "test") / file for file in inside)
        return samples


class Xiph(FrameSet):
    """Xiph: 8 clips of 4096x2160 from Netflix.

    Every even frame of frames 1 to 99 is predicted from its neighbours, 392 in all. Xiph-2K has frames of half the
    size. Xiph-4K has the middle 2048x1080 at full resolution. Published figures are those of 8-bit frames. The
    published SSIM of this set is scikit-image's, whose window differs from ours.
    """

    sizes = ("2K", "4K")
    clips = (
        *("BoxingPractice", "Crosswalk", "DrivingPOV", "FoodMarket"),
        *("FoodMarket2", "RitualDance", "SquareAndTimelapse", "Tango"),
    )
    published = 8 * 49
    source = (
        'Netflix_<clip>_4096x2160_60fps_10bit_420.y4m of the page "Xiph.org Video Test Media", each '
        "unpacked by: ffmpeg -i FILE -pix_fmt rgb24 -vframes 100 netflix/<clip>-%03d.png"
    )
    layout = f"netflix/<clip>-001.png to <clip>-100.png for the clips {', '.join(clips)}"

    def __init__(self, root: str | os.PathLike, size: str) -> None:
        """Find the clips. Raise ValueError if `size` is none of `sizes`."""
        if size not in self.sizes:
            raise ValueError(f"size must be one of {', '.join(self.sizes)}, got {size!r}")
        self.size, self.title = size, f"Xiph-{size}"
        super().__init__(root)

    def find(self, root: Path) -> Mapping[str, Files]:
        root = inner(root, "netflix", "frames")
        return {
            f"{clip}:{middle}": tuple(root / f"{clip}-{middle + offset:03d}.png" for offset in (-1, 0, 1))
            for clip in self.clips
            for middle in range(2, 99, 2)
        }

    def prepare(self, frame: Tensor) -> Tensor:
        if self.size == "2K":
            return (half_size(frame) + 0.5).floor().byte()  # as area interpolation of 8-bit images
        return centre_crop(frame, frame.shape[-2] // 2, frame.shape[-1] // 2)


class ATD12K(FrameSet):
    """ATD-12K: 2,000 test triplets of animated films, 960x540."""

    title, published = "ATD12K", 2000
    source = '"ATD-12K" (test_2k_540p) of the page "AnimeInterp: Deep Animation Video Interpolation in the Wild"'
    layout = "test_2k_540p/<triplet>/frame1.png, frame2.png, frame3.png (or .jpg), ..."

    def find(self, root: Path) -> Mapping[str, Files]:
        samples = {}
        for folder in folders_in(inner(root, "test_2k_540p", "datasets/test_2k_540p")):
            suffix = ".jpg" if (folder / "frame1.jpg").is_file() else ".png"
            samples[folder.name] = tuple(folder / f"frame{number}{suffix}" for number in (1, 2, 3))
        return samples


class Middlebury(FrameSet):
    """The 12 triplets of Middlebury's "other" set, about 640x480. Its tables show the interpolation error."""

    title, published = "Middlebury", 12
    source = '"other-color-twoframes.zip" and "other-gt-interp.zip" of the page "vision.middlebury.edu/flow/data"'
    layout = "other-data/<scene>/frame10.png, frame11.png beside other-gt-interp/<scene>/frame10i11.png"

    def find(self, root: Path) -> Mapping[str, Files]:
        inputs, truths = root / "other-data", root / "other-gt-interp"
        if not (inputs.is_dir() and truths.is_dir()):
            raise FileNotFoundError(f"no folder {truths if inputs.is_dir() else inputs}")
        return {
            scene.name: (
                inputs / scene.name / "frame10.png",
                scene / "frame10i11.png",
                inputs / scene.name / "frame11.png",
            )
            for scene in folders_in(truths)
        }
