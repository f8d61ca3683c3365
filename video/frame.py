"""What a frame is, and two of them side by side."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame


class Frame(NamedTuple):
    """One picture on the timeline.

    image: (H, W, 3) RGB, upright; uint8, or uint16 with white at 65535. time: seconds from the start of the file.
    source: where it is from, for errors. native: the same picture as decoded, for writers that store it untouched;
    None where it was made, turned, or read from an image file. lasts: seconds it is shown as its file says, None if the
    file does not say. is_after_gap: nothing is known of the time between the frame before and this one: it is held.
    """

    image: np.ndarray
    time: Fraction
    source: str
    native: VideoFrame | None = None
    lasts: Fraction | None = None
    is_after_gap: bool = False


def side_by_side(left: Frame, right: Frame) -> Frame:
    """Both pictures in one of twice the width; time and source are those of `right`."""
    return Frame(np.concatenate([left.image, right.image], axis=1), right.time, right.source)
