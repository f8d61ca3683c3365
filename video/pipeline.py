"""From n frames to (n - 1) * multiplier + 1: middle frames of middle frames, a pair at a time."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from utils import image_to_tensor, tensor_to_image

from .frame import Frame
from .images import FolderWriter, ImageReader, folder_writer
from .reader import VideoReader
from .writer import CRF, VideoWriter, is_video, video_writer

Middle = Callable[[Tensor, Tensor], Tensor]


class Model(Protocol):
    """What the pipeline needs of a network: the middle frame of two (1, 3, H, W) in [0, 1]."""

    def interpolate(self, img0: Tensor, img1: Tensor, **options: float | None) -> Tensor: ...


def interpolate_frames(
    frames: Iterable[Frame],
    model: Model,
    *,
    multiplier: int = 2,
    ratio: float | None = None,
    budget: float | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[Frame]:
    """Put multiplier - 1 frames, evenly spaced in time, between every two; the given ones pass through unchanged.

    Holds two given frames and one per halving, however long `frames` is.

    Args:
        multiplier: 2, 4, 8, ...: the pairs are halved again and again.
        ratio: threshold ratio. budget: or the cost at most. Neither: the network's choice per pair.
        device: where `model` is.
    Raises:
        ValueError: multiplier not a power of two; while iterating: fewer than two frames, sizes that change, a middle
            frame that is not finite or needs more memory than there is.
    """
    depth = count_halvings(multiplier)

    def middle(img0: Tensor, img1: Tensor) -> Tensor:
        return model.interpolate(img0, img1, **({"ratio": ratio} if budget is None else {"budget": budget}))

    return _interpolate(frames, middle, depth, device)


def count_halvings(multiplier: int) -> int:
    """log2 of a multiplier. Raises ValueError unless it is 2, 4, 8, ..."""
    if multiplier < 2 or multiplier & (multiplier - 1):
        raise ValueError(f"multiplier must be a power of two (2, 4, 8, ...), got {multiplier}")
    return multiplier.bit_length() - 1


def open_writer(
    path: Path, reader: VideoReader | ImageReader, *, multiplier: int, crf: int = CRF
) -> AbstractContextManager[VideoWriter | FolderWriter]:
    """A writer for the interpolated frames of `reader`: a video by its suffix, else a folder of PNG files."""
    if not is_video(path):
        return folder_writer(path)
    return video_writer(
        path,
        rate=reader.rate * multiplier,
        colour=reader.colour,
        aspect=reader.aspect,
        audio=reader.audio,
        hold=multiplier - 1,
        crf=crf,
    )


def _interpolate(frames: Iterable[Frame], middle: Middle, depth: int, device: torch.device | str) -> Iterator[Frame]:
    last: Frame | None = None
    img0 = img1 = None
    for frame in frames:
        img1 = image_to_tensor(frame.image).to(device)
        if last is not None:
            _check_pair(last, frame)
            yield last
            source = f"between {last.source} and {frame.source}"
            for k, image in enumerate(_between(img0, img1, middle, depth), start=1):
                time = last.time + (frame.time - last.time) * k / 2**depth
                yield Frame(tensor_to_image(image), time, source)
        is_single, last, img0 = last is None, frame, img1
    if last is None:
        raise ValueError("there are no frames; at least two are needed")
    if is_single:
        raise ValueError(f"{last.source} is the only frame; at least two are needed")
    yield last


def _between(img0: Tensor, img1: Tensor, middle: Middle, depth: int) -> Iterator[Tensor]:
    """2^depth - 1 frames (1, 3, H, W) between two, in order. Not rounded to 8 bits before they are halved again."""
    if depth == 0:
        return
    imgt = _run(middle, img0, img1)
    yield from _between(img0, imgt, middle, depth - 1)
    yield imgt
    yield from _between(imgt, img1, middle, depth - 1)


def _run(middle: Middle, img0: Tensor, img1: Tensor) -> Tensor:
    try:
        return middle(img0, img1)
    except RuntimeError as error:  # also torch.OutOfMemoryError; on CPUs only the text tells
        if "memory" not in str(error):
            raise
        height, width = img0.shape[-2:]
        raise ValueError(f"not enough memory for frames of {width}x{height}; scale them down first") from error


def _check_pair(frame0: Frame, frame1: Frame) -> None:
    (height0, width0, _), (height1, width1, _) = frame0.image.shape, frame1.image.shape
    if (height0, width0) != (height1, width1):
        raise ValueError(
            f"all frames need one size, but {frame0.source} is {width0}x{height0} "
            f"and {frame1.source} is {width1}x{height1}; scale them to one size first"
        )
