"""The published benchmark sets of clips: seven frames between two by recursion (x8), and HD."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .frame_set import Files, FrameSet, centre_crop, clip_windows, folders_in, half_size, images_in, inner, windows

EIGHTFOLD = 9  # frames of a sample of x8: two inputs, and seven between them


class XTest(FrameSet):
    """X-TEST of X4K1000FPS: 15 clips of 33 frames, 4096x2160. Frames 4, 8, ..., 28 are predicted from the outer two.

    The size 2K means frames halved in floating point, as published.
    """

    sizes = ("4K", "2K")
    published = 15
    source = '"test" of X4K1000FPS, of the page "XVFI: eXtreme Video Frame Interpolation"'
    layout = "test/Type1/TEST01_003_f0433/0000.png to 0032.png, ..., test/Type3/..."

    def __init__(self, root: str | os.PathLike, size: str = "4K") -> None:
        """Find the clips. Raise ValueError if `size` is none of `sizes`."""
        if size not in self.sizes:
            raise ValueError(f"size must be one of {', '.join(self.sizes)}, got {size!r}")
        self.size, self.title = size, f"X-TEST-{size}"
        super().__init__(root)

    def find(self, root: Path) -> Mapping[str, Files]:
        root = inner(root, "test")
        clips = [clip for kind in folders_in(root) for clip in folders_in(kind)]
        return clip_windows(root, clips, length=EIGHTFOLD, stride=32, step=4)

    def prepare(self, frame: Tensor) -> Tensor:
        return half_size(frame) if self.size == "2K" else frame


class _Windows(FrameSet):
    """Windows of nine frames, eight frames apart, of every clip, cropped in the middle. The published crop is 512."""

    def __init__(self, root: str | os.PathLike, crop: int = 512) -> None:
        """Find the clips.

        Args:
            root: the unpacked archive, or the folder that contains it.
            crop: side of the square in the middle that is used, in pixels; 0 for whole frames.
        Raises:
            FileNotFoundError: as `FrameSet`.
            ValueError: `crop` is negative.
        """
        if crop < 0:
            raise ValueError(f"crop must be >= 0, got {crop}")
        self.crop = crop
        super().__init__(root)

    @property
    def settings(self) -> dict[str, int]:
        return {"crop": self.crop}

    def prepare(self, frame: Tensor) -> Tensor:
        return centre_crop(frame, self.crop, self.crop) if self.crop else frame


def _eightfold(root: Path, clips: list[Path]) -> dict[str, Files]:
    """Return the windows of all clips.

    A clip that is missing or too short becomes one sample. Reading that sample fails, so the report counts it.
    """
    there = [clip for clip in clips if clip.is_dir() and len(images_in(clip)) >= EIGHTFOLD]
    names = [f"{number:06d}.png" for number in range(1, EIGHTFOLD + 1)]
    missing = {clip.name: tuple(clip / name for name in names) for clip in clips if clip not in there}
    return missing | clip_windows(root, there, length=EIGHTFOLD, stride=EIGHTFOLD - 1)


class GoPro(_Windows):
    """The 11 test clips of GoPro for x8, 1280x720 at 240 frames per second."""

    title = "GoPro"
    clips = (
        *("GOPR0384_11_00", "GOPR0384_11_05", "GOPR0385_11_01", "GOPR0396_11_00", "GOPR0410_11_00", "GOPR0854_11_00"),
        *("GOPR0862_11_00", "GOPR0868_11_00", "GOPR0869_11_00", "GOPR0871_11_00", "GOPR0881_11_01"),
    )
    source = (
        '"GOPRO_Large_all" of the page "GOPRO dataset" of "Deep Multi-scale Convolutional Neural Network for Dynamic '
        'Scene Deblurring"'
    )
    layout = f"test/<clip>/000001.png, ... for the clips {', '.join(clips)}"

    def find(self, root: Path) -> Mapping[str, Files]:
        root = inner(root, "test")
        return _eightfold(root, [root / clip for clip in self.clips])


class Adobe240(_Windows):
    """The test clips of Adobe240 for x8, 1280x720 at 240 frames per second.

    Papers disagree about the test clips. The file adobe240fps_folder_test.txt selects them, one name per line. Without
    this file, every folder is a test clip.
    """

    title = "Adobe240"
    source = (
        '"DeepVideoDeblurring_Dataset_Original_High_FPS_Videos.zip" of the page "Deep Video Deblurring for Hand-held '
        'Cameras", each clip unpacked by: ffmpeg -i CLIP test_frames/<clip>/%06d.png'
    )
    layout = "test_frames/<clip>/000001.png, ... and perhaps adobe240fps_folder_test.txt"

    def find(self, root: Path) -> Mapping[str, Files]:
        names, root = root / "adobe240fps_folder_test.txt", inner(root, "test_frames")
        clips = folders_in(root)
        if names.is_file():
            clips = [root / line.strip() for line in names.read_text().splitlines() if line.strip()]
        return _eightfold(root, clips)


class HD(FrameSet):
    """HD: 11 clips of 1280x544 to 1920x1080 as raw YUV 4:2:0.

    Every odd frame of the first 101 is predicted from its neighbours. Frames are converted to RGB as in the published
    evaluation: full range, chroma enlarged by Pillow's bicubic filter, cut to 8 bits. The published figure is the PSNR
    of the luma, the mean over clips of the means over their frames.
    """

    title, luma, by_clip = "HD", True, True
    clips = (
        ("HD720p_GT/parkrun_1280x720_50.yuv", 720, 1280),
        ("HD720p_GT/shields_1280x720_60.yuv", 720, 1280),
        ("HD720p_GT/stockholm_1280x720_60.yuv", 720, 1280),
        ("HD1080p_GT/BlueSky.yuv", 1080, 1920),
        ("HD1080p_GT/Kimono1_1920x1080_24.yuv", 1080, 1920),
        ("HD1080p_GT/ParkScene_1920x1080_24.yuv", 1080, 1920),
        ("HD1080p_GT/sunflower_1080p25.yuv", 1080, 1920),
        ("HD544p_GT/Sintel_Alley2_1280x544.yuv", 544, 1280),
        ("HD544p_GT/Sintel_Market5_1280x544.yuv", 544, 1280),
        ("HD544p_GT/Sintel_Temple1_1280x544.yuv", 544, 1280),
        ("HD544p_GT/Sintel_Temple2_1280x544.yuv", 544, 1280),
    )
    source = (
        '"HD_dataset" of the page "MEMC-Net: Motion Estimation and Motion Compensation Driven Neural Network for Video '
        'Interpolation and Enhancement"'
    )
    layout = f"HD_dataset/{', '.join(path for path, *_ in clips)}"

    def find(self, root: Path) -> Mapping[str, Files]:
        samples, self._windows = {}, []
        for clip, height, width in self.clips:
            path = inner(root, "HD_dataset") / clip
            count = path.stat().st_size // (height * width * 3 // 2) if path.is_file() else 0
            # A clip that is missing or too short becomes a sample that cannot be read, so that the report counts it.
            for window in windows(max(3, min(count, 101)), 3, stride=2):
                samples[f"{path.stem}:{window[1]}"] = (path,)
                self._windows.append((height, width, window))
        return samples

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        height, width, window = self._windows[index]
        (path,) = self.files(index)
        return tuple(read_yuv(path, height, width, position) for position in window)


def read_yuv(path: Path, height: int, width: int, position: int) -> Tensor:
    """Read frame number `position` of a raw YUV 4:2:0 file.

    Returns:
        (3, height, width) uint8 RGB.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file ends before the frame does.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no clip at {path}")
    luma, chroma = height * width, height * width // 4
    data = np.fromfile(path, np.uint8, luma + 2 * chroma, offset=position * (luma + 2 * chroma))
    if len(data) < luma + 2 * chroma:
        raise ValueError(f"{path} ends before frame {position} of {width}x{height}")
    planes = [data[:luma].reshape(height, width)]
    for plane in data[luma:].reshape(2, height // 2, width // 2):
        planes.append(np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)))
    y, u, v = (plane / 255 for plane in planes)
    u, v = u - 0.5, v - 0.5
    # The inverse of Y = 0.299 R + 0.587 G + 0.114 B, U = 0.492 (B - Y), V = 0.877 (R - Y). Frames are cut to 8 bits
    # without rounding, so the digits must be those of the published evaluation.
    red, blue = y + v * (1 - 0.299) / 0.61497538, y + u * (1 - 0.114) / 0.43601035
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    rgb = np.stack([red, green, blue]).clip(0, 1) * 255
    return torch.from_numpy(rgb.astype(np.uint8))
