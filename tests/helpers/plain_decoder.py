"""The frames that players show: of a damaged file as many as can be had, what is missing in them guessed."""

from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

DIFFERENCE = 2.0  # of 255, in the mean: what conversions between layouts may change


class Decoded(NamedTuple):
    """images: (H, W, 3) uint8 of all frames. has_errors: whether the demuxer or the decoder complained."""

    images: list[np.ndarray]
    has_errors: bool


def decode_plainly(path: Path) -> Decoded:
    """Decode as players do: with the decoder's defaults, and on after errors."""
    images, has_errors, level = [], False, av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(local=False) as complaints:
            try:
                with av.open(str(path), metadata_errors="replace") as container:
                    for packet in container.demux(video=0):
                        try:
                            images += [frame.to_ndarray(format="rgb24") for frame in packet.decode()]
                        except av.FFmpegError:
                            has_errors = True
            except (av.FFmpegError, IndexError):
                has_errors = True
        return Decoded(images, has_errors or any(number <= av.logging.ERROR for number, *_ in complaints))
    finally:
        av.logging.set_level(level)


def are_alike(images: list[np.ndarray], others: list[np.ndarray]) -> bool:
    """Return True if both are the same frames, but for rounding."""
    return [image.shape for image in images] == [image.shape for image in others] and all(
        np.abs(image.astype(int) - other).mean() <= DIFFERENCE for image, other in zip(images, others, strict=True)
    )
