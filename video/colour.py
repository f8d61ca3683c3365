"""How a video file stores colour and orientation, and the way to upright 8-bit RGB and back."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

# Codes of ITU-T H.273, as stored in files. 2 is "unspecified".
RGB, BT709, UNSPECIFIED, SMPTE170M = 0, 1, 2, 6
MATRICES = {
    BT709: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    SMPTE170M: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
HD_LINES = 720  # from here on, untagged video is BT.709, below BT.601


class Colour(NamedTuple):
    """Codes of H.273. matrix: RGB <-> YCbCr, one of MATRICES. primaries, transfer: carried, 2 where unknown."""

    matrix: int
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @classmethod
    def of_size(cls, height: int) -> "Colour":
        """The usual choice for untagged pictures of this many lines."""
        return cls(BT709 if height >= HD_LINES else SMPTE170M)

    @classmethod
    def of_stream(cls, stream: VideoStream) -> "Colour":
        """As the stream is tagged. Raises ValueError for a matrix that cannot be converted."""
        context = stream.codec_context
        matrix = context.colorspace
        if matrix in (RGB, UNSPECIFIED, 3):  # stored as RGB, or not said
            matrix = cls.of_size(context.height).matrix
        if matrix not in MATRICES:
            raise ValueError(
                f"colour matrix {matrix} (ITU-T H.273) cannot be converted; re-encode the video as BT.709 first"
            )
        return cls(matrix, context.color_primaries, context.color_trc)


def decode_rgb(frame: VideoFrame, colour: Colour) -> np.ndarray:
    """A decoded frame as (H, W, 3) uint8 full-range RGB, in the orientation in which it is stored."""
    matrix = MATRICES[colour.matrix]
    # Grey is full range unless tagged, and yuvj* is so by definition; the converter knows both.
    known = frame.color_range in (ColorRange.MPEG, ColorRange.JPEG)
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=frame.color_range if known else None,
        dst_color_range=ColorRange.JPEG,
    )
    return rgb.to_ndarray()


def encode_yuv(image: np.ndarray, pixel_format: str, colour: Colour) -> VideoFrame:
    """(H, W, 3) uint8 RGB -> a limited-range frame of `pixel_format` (some yuv*), stored with `colour`'s matrix."""
    matrix = MATRICES[colour.matrix]
    return VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(
        format=pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
    )


def upright(image: np.ndarray, frame: VideoFrame) -> np.ndarray:
    """Turn (and mirror) a decoded image (H, W, 3) the way a player shows `frame`."""
    (a, b), (c, d) = orientation(frame)
    if a == 0:  # x' comes from y: transpose, then the signs are those of a plain mirror
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: int(d), :: int(a)])


def orientation(frame: VideoFrame) -> np.ndarray:
    """(2, 2) of -1, 0, 1: (x, y) as stored, times this, is (x, y) as shown; y points down.

    Raises:
        ValueError: a display matrix that is not made of quarter turns and mirrors.
    """
    data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return np.eye(2, dtype=int)
    matrix = np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)[:2, :2] / 65536  # 16.16 fixed point
    turn = matrix.round().astype(int)
    if not np.array_equal(turn, matrix) or abs(turn).sum() != 2 or abs(np.linalg.det(turn)) != 1:
        raise ValueError(f"the video is turned by {frame.rotation} degrees; only quarter turns can be applied")
    return turn


def upright_aspect(aspect: Fraction | None, frame: VideoFrame) -> Fraction | None:
    """Width/height of a pixel after `upright`, which is known to work then (else ValueError)."""
    is_on_its_side = orientation(frame)[0][0] == 0
    return 1 / aspect if aspect and is_on_its_side else aspect
