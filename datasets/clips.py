"""Triplets straight from a folder of short video clips, and where their decoded frames are kept."""

import contextlib
import hashlib
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import utils
from video import VideoReader
from video.read.colour import to_8_bits

from .triplets import Triplet, TripletSource

EXAMPLE = Path(__file__).parents[1] / "examples" / "bird.mp4"  # a real clip, see examples/README.md
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".m4v")
GIB = 2**30
DECODER = 2  # counts the changes of `decode_clip` that change pixels, so that older files of a cache are not read


class Clip(NamedTuple):
    """A video of `length` frames. frames: (N, 3, H, W) uint8, or the .npy file that holds them, or None: decode it."""

    path: Path
    length: int
    frames: Tensor | Path | None

    def read(self, numbers: Sequence[int]) -> list[Tensor]:
        """Return frames by their numbers, (3, H, W) uint8 each."""
        if isinstance(self.frames, Path):
            stored = np.load(self.frames, mmap_mode="r")
            return [torch.from_numpy(stored[number].copy()) for number in numbers]
        frames = decode_clip(self.path, max(numbers) + 1) if self.frames is None else self.frames
        return [frames[number] for number in numbers]


class ClipTriplets(TripletSource):
    """Every three consecutive frames of every clip in a folder, decoded once (H * W * 3 bytes a frame).

    `dataset[i]` is a `Triplet`; `dataset.names[i]` is "clip.mp4:7", 7 being the number of img0; "clip.mp4:7:2"
    is frames 7, 9 and 11. However many workers a loader has, they share one copy of the frames. Processes of a
    distributed run each decode and hold their own, but for those that name one `cache_folder`: they, and later runs,
    read the same files there.

    Attributes:
        left_out: the clips that were skipped, with the reason of each. cached: bytes of decoded frames that are kept.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        *,
        cache_gib: float = 8.0,
        cache_folder: str | os.PathLike | None = None,
        strides: Sequence[int] = (1,),
        skip_bad: bool = False,
        show_progress: bool = False,
    ) -> None:
        """Decode all clips, or find them decoded.

        Args:
            root: the folder of clips.
            cache_gib: decoded frames to keep; clips beyond it are decoded again for every triplet (slow, and logged).
            cache_folder: where to keep them, as files; default: in memory. What is there already is read, however
                little may be added; files of clips that are gone stay.
            strides: frames from one of a triplet to the next; every stride adds its triplets.
            skip_bad: log and leave out clips that cannot be read.
        Raises:
            FileNotFoundError: no such folder, or no clip in it.
            ValueError: clips that cannot be read (all are named), none with three frames, a negative size, or strides
                that are not positive or not different.
            OSError: the cache folder cannot be written.
        """
        if not 0 <= cache_gib < math.inf:
            raise ValueError(f"the cache must have 0 or more GiB, got {cache_gib}")
        if min(strides, default=0) < 1 or len(set(strides)) < len(strides):
            raise ValueError(f"strides must be positive, each given once; got {list(strides)}")
        self.root = root = Path(root)
        files = sorted(p for p in root.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES) if root.is_dir() else []
        if not files:
            raise FileNotFoundError(f"no clips ({', '.join(VIDEO_SUFFIXES)}) in {root}")
        with _locked(cache_folder) as folder:
            bar = tqdm(files, desc="decoding clips", unit="clip", disable=not show_progress)
            clips, self.left_out, self.cached = _open_clips(bar, cache_gib, folder)
        if self.left_out and not skip_bad:
            raise ValueError(f"{len(self.left_out)} clips cannot be read: " + "; ".join([*self.left_out.values()][:20]))
        for reason in self.left_out.values():
            utils.logger.warning("a clip is skipped: %s", reason)
        self._positions = [
            (clip, first, stride) for stride in strides for clip in clips for first in range(clip.length - 2 * stride)
        ]
        if not self._positions:
            raise ValueError(f"no clip in {root} has three frames")
        self.names = [
            f"{clip.path.name}:{first}" + (f":{stride}" if stride > 1 else "")
            for clip, first, stride in self._positions
        ]

    def __getitem__(self, index: int) -> Triplet:
        """(3, H, W) uint8 each."""
        clip, first, stride = self._positions[index]
        return Triplet(*clip.read([first, first + stride, first + 2 * stride]))

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return the outer frames of a triplet with the frame between them that is nearest to a time, and its time.

        time: in [0, 1), img0 being at 0 and img1 at 1.
        """
        clip, first, stride = self._positions[index]
        inner = min(max(round(time * 2 * stride), 1), 2 * stride - 1)
        return Triplet(*clip.read([first, first + inner, first + 2 * stride])), inner / (2 * stride)


def decode_clip(path: str | os.PathLike, stop: int | None = None) -> Tensor:
    """Decode the frames of a video, or the first `stop`, as the video tool reads them: upright, colours as tagged.

    Returns:
        (N, 3, H, W) uint8 RGB; deeper videos are rounded.
    Raises:
        ValueError: the file, which is named, cannot be decoded, is damaged, or has frames of several sizes.
    """
    try:
        with contextlib.closing(VideoReader(path).frames()) as decoded:
            frames = [to_8_bits(frame.image) for frame in itertools.islice(decoded, stop)]
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not a video that can be decoded ({error})") from error
    if not frames or len({frame.shape for frame in frames}) > 1:
        raise ValueError(f"{path} holds no frames, or frames of several sizes")
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def _open_clips(files: tqdm, cache_gib: float, folder: Path | None) -> tuple[list[Clip], dict[str, str], int]:
    """Return the clips, the reasons why others cannot be read, by file name, and the bytes kept."""
    clips, broken, cached, needed, left = [], {}, 0, 0, 0
    for file in files:
        kept = _cache_file(file, folder) if folder else None
        shape, frames = _stored_shape(kept), kept
        if shape is None:
            try:
                frames = decode_clip(file)
            except ValueError as error:
                broken[file.name] = str(error)
                continue
            shape = frames.shape
            if cached + math.prod(shape) > cache_gib * GIB:
                frames, left = None, left + 1
            elif kept:
                _write(kept, frames)
                frames = kept
        needed += math.prod(shape)
        cached += math.prod(shape) if frames is not None else 0
        clips.append(Clip(file, shape[0], frames))
    if left:
        utils.logger.warning(
            "%d of %d clips do not fit into a cache of %g GiB and are decoded again for every triplet, which is slow; "
            "%.2f GiB would hold all",
            *(left, len(clips), cache_gib, needed / GIB),
        )
    return clips, broken, cached


def _cache_file(clip: Path, folder: Path) -> Path:
    """Return the file for the decoded frames of a clip; a clip that changes gets another name."""
    status = clip.stat()
    key = f"{DECODER} {clip.resolve()} {status.st_size} {status.st_mtime_ns}"
    return folder / f"{utils.short_name(clip.stem)}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"


def _stored_shape(path: Path | None) -> tuple[int, ...] | None:
    """Return the shape of stored frames, None if there are none or the file is broken."""
    if path is None or not path.is_file():
        return None
    try:
        return np.load(path, mmap_mode="r").shape
    except (ValueError, OSError, EOFError):
        return None


def _write(path: Path, frames: Tensor) -> None:
    try:
        with utils.atomic_path(path) as temporary:
            np.save(temporary, frames.numpy())
    except OSError as error:
        raise OSError(
            f"cannot write {path}: {error.strerror or error}; give another cache folder, or fewer GiB to fill"
        ) from error


@contextlib.contextmanager
def _locked(folder: str | os.PathLike | None) -> Iterator[Path | None]:
    """Make the folder and lock it for the context, so that one process decodes and the others find its files."""
    if folder is None:
        yield None
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        if os.name == "posix":  # elsewhere they would decode side by side, each replacing equal files
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
