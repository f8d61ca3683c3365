"""A frame on the timeline, and two pictures side by side."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame


class Frame(NamedTuple):
    """One picture on the timeline.

    image: (H, W, 3) RGB, upright; uint8, or uint16 with white at 65535.
    time: seconds from the start of the file.
    source: the place it comes from, for error messages.
    native: the same picture as it was decoded, for writers that store it untouched. None for a frame that was made,
        turned, or read from an image file.
    lasts: seconds for which the file shows it; None if the file does not say.
    is_after_gap: pictures are missing before this frame, so the frame before is held (repeated, not interpolated).
    alpha: (H, W) of the image's type, opaque at its largest value; None if there is none, or if it is dropped. The
        colours of `image` are straight: they are not multiplied by alpha.
    """

    image: np.ndarray
    time: Fraction
    source: str
    native: VideoFrame | None = None
    lasts: Fraction | None = None
    is_after_gap: bool = False
    alpha: np.ndarray | None = None


def side_by_side(left: Frame, right: Frame) -> Frame:
    """Join two pictures into one of twice the width. Its time and source are those of `right`."""
    image = np.concatenate([left.image, right.image], axis=1)
    alpha = None if right.alpha is None else np.concatenate([_alpha(left), right.alpha], axis=1)
    return Frame(image, right.time, right.source, alpha=alpha)


def over_grey(frame: Frame) -> np.ndarray:
    """Return the picture (H, W, 3) over a grey background. A picture without alpha is returned as it is."""
    if frame.alpha is None:
        return frame.image
    most = np.iinfo(frame.image.dtype).max
    share = frame.alpha[..., None].astype(np.float32) / most
    return (frame.image * share + (1 - share) * (most // 2)).round().astype(frame.image.dtype)


def _alpha(frame: Frame) -> np.ndarray:
    most = np.iinfo(frame.image.dtype).max
    return np.full(frame.image.shape[:2], most, frame.image.dtype) if frame.alpha is None else frame.alpha
