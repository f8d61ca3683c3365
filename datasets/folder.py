"""A benchmark set made of any folder of triplets or clips."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from .clips import VIDEO_SUFFIXES, decode_clip
from .frame_set import HIDDEN, Files, FrameSet, clip_windows, shown, windows


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
