"""Triplets from a folder of short video clips, and the cache of their decoded frames."""

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
DECODER = 2  # a version number: raised when `decode_clip` changes pixels, so that older files of a cache are not read


class Clip(NamedTuple):
    """A video clip.

    path: the video file.
    length: number of frames.
    frames: (length, 3, H, W) uint8, or the .npy file that holds them, or None if they are decoded again when needed.
    """

    path: Path
    length: int
    frames: Tensor | Path | None

    def read(self, numbers: Sequence[int]) -> list[Tensor]:
        """Return the frames with these numbers, (3, H, W) uint8 each."""
        if isinstance(self.frames, Path):
            stored = np.load(self.frames, mmap_mode="r")
            return [torch.from_numpy(stored[number].copy()) for number in numbers]
        frames = decode_clip(self.path, max(numbers) + 1) if self.frames is None else self.frames
        return [frames[number] for number in numbers]


class ClipTriplets(TripletSource):
    """Every three consecutive frames of every clip in a folder. Each clip is decoded once.

    `dataset[i]` is a `Triplet`. Its name is such as "clip.mp4:7", where 7 is the number of img0. The name
    "clip.mp4:7:2" stands for frames 7, 9 and 11.

    A decoded frame takes H * W * 3 bytes. All workers of a loader share one copy. Each process of a distributed run
    has a copy of its own. If the processes name the same `cache_folder`, they and later runs share the files in it.

    Attributes:
        left_out: the reason for each clip that was skipped, by its file name.
        cached: bytes of decoded frames that are kept.
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
        """Decode all clips, or find their decoded frames in the cache folder.

        Args:
            root: the folder of clips.
            cache_gib: GiB of decoded frames to keep. Clips that do not fit are decoded again for every triplet, which
                is slow; a warning says so.
            cache_folder: the folder for files with decoded frames. Default: frames are kept in memory. Files that are
                in the folder already are used, even beyond `cache_gib`. Files of deleted clips stay.
            strides: distances between neighbouring frames of a triplet, in frames. Every stride adds its triplets.
            skip_bad: leave out clips that cannot be read, with a warning.
            show_progress: show a progress bar while clips are decoded.
        Raises:
            FileNotFoundError: there is no such folder, or it has no clip.
            ValueError: some clips cannot be read (the message names them), no clip has three frames, `cache_gib` is
                negative, or strides are not positive or not different.
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
        """Read one triplet, (3, H, W) uint8 each."""
        clip, first, stride = self._positions[index]
        return Triplet(*clip.read([first, first + stride, first + 2 * stride]))

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet whose inner frame is the one nearest to `time`, and the time of that frame.

        Args:
            time: in [0, 1), where img0 is at 0 and img1 at 1.
        """
        clip, first, stride = self._positions[index]
        inner = min(max(round(time * 2 * stride), 1), 2 * stride - 1)
        return Triplet(*clip.read([first, first + inner, first + 2 * stride])), inner / (2 * stride)


def decode_clip(path: str | os.PathLike, stop: int | None = None) -> Tensor:
    """Decode a video as the video tool reads it: upright, with the colours that its tags demand.

    Args:
        stop: number of frames to decode. Default: all.
    Returns:
        (N, 3, H, W) uint8 RGB. Videos of more than 8 bits are rounded.
    Raises:
        ValueError: the file cannot be decoded, is damaged, or has frames of several sizes. The message names it.
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
    """Return the clips, the reasons for clips that cannot be read by file name, and the bytes that are kept."""
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
    """Return the cache file of a clip. Its name changes when the clip changes."""
    status = clip.stat()
    key = f"{DECODER} {clip.resolve()} {status.st_size} {status.st_mtime_ns}"
    return folder / f"{utils.short_name(clip.stem)}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"


def _stored_shape(path: Path | None) -> tuple[int, ...] | None:
    """Return the shape of stored frames, or None if there are none or the file is damaged."""
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
    """Make the folder and lock it for the context. One process decodes, and the others then find its files."""
    if folder is None:
        yield None
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        if os.name == "posix":  # on other systems, several processes may decode the same clip and write equal files
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
