"""Triplets straight from a folder of short video clips."""

import os
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from .triplets import Triplet

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".m4v")


class ClipTriplets(Dataset):
    """Every three consecutive frames of every clip in a folder, decoded once into memory (H * W * 3 bytes a frame).

    `dataset[i]` is a `Triplet`; `dataset.names[i]` is "clip.mp4:7", 7 being the number of img0.
    """

    def __init__(self, root: str | os.PathLike, *, show_progress: bool = False) -> None:
        """Decode all clips.

        Raises:
            FileNotFoundError: no such folder, or no clip in it.
            ValueError: clips that cannot be read (all are named), or none with three frames.
        """
        self.root = root = Path(root)
        files = sorted(p for p in root.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES) if root.is_dir() else []
        if not files:
            raise FileNotFoundError(f"no clips ({', '.join(VIDEO_SUFFIXES)}) in {root}")
        self.clips: list[Tensor] = []
        self.names: list[str] = []
        self._positions: list[tuple[int, int]] = []  # clip, number of img0
        broken = []
        for file in tqdm(files, desc="decoding clips", unit="clip", disable=not show_progress):
            try:
                frames = decode_clip(file)
            except ValueError as error:
                broken.append(str(error))
                continue
            for first in range(len(frames) - 2):
                self.names.append(f"{file.name}:{first}")
                self._positions.append((len(self.clips), first))
            self.clips.append(frames)
        if broken:
            raise ValueError(f"{len(broken)} clips cannot be read: " + "; ".join(broken[:20]))
        if not self.names:
            raise ValueError(f"no clip in {root} has three frames")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Triplet:
        """(3, H, W) uint8 each."""
        clip, first = self._positions[index]
        return Triplet(*self.clips[clip][first : first + 3])


def decode_clip(path: str | os.PathLike) -> Tensor:
    """All frames of a video: (N, 3, H, W) uint8 RGB. Raises ValueError naming the file where it cannot be decoded."""
    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise ValueError(f"{path} is not a video that can be decoded ({error})") from error
    if not frames or len({frame.shape for frame in frames}) > 1:
        raise ValueError(f"{path} holds no frames, or frames of several sizes")
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
