"""Convert between the colours and orientation that a video file stores, and upright full-range RGB."""

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
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
HD_LINES = 720  # untagged video is BT.709 from this height on, and BT.601 below
# Without these flags, the converter cuts off fractions, which makes pictures one grey level darker. Conversions to 16
# bits do not need them, and there they make the converter confuse the matrices.
ROUNDED = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
LIMITED_WHITE = 255 * 256  # the converter's white in 16-bit RGB: 8-bit white, shifted


class Colour(NamedTuple):
    """Codes of ITU-T H.273 that say how a video stores colour.

    matrix: matrix between RGB and YCbCr, one of MATRICES.
    primaries: passed on to the output; 2 if unknown.
    transfer: passed on to the output; 2 if unknown.
    is_full: True if YCbCr uses all codes (0 to 255 in 8 bits), False for the limited range (16 to 235).
    """

    matrix: int
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    is_full: bool = False

    @classmethod
    def of_size(cls, height: int) -> "Colour":
        """Return the usual colour of an untagged picture with this many lines."""
        return cls(BT709 if height >= HD_LINES else SMPTE170M)

    @classmethod
    def of_stream(cls, stream: VideoStream) -> "Colour":
        """Return the colour that a stream's tags give. Raises ValueError for a matrix that cannot be converted."""
        context = stream.codec_context
        matrix = context.colorspace
        if matrix in (RGB, UNSPECIFIED, 3):  # stored as RGB, or not given
            matrix = cls.of_size(context.height).matrix
        if matrix not in MATRICES:
            raise ValueError(
                f"colour matrix {matrix} (ITU-T H.273) cannot be converted; re-encode the video as BT.709 first"
            )
        is_full = context.color_range == ColorRange.JPEG or (context.pix_fmt or "").startswith("yuvj")
        return cls(matrix, context.color_primaries, context.color_trc, is_full)


def depth(pixel_format: VideoFormat) -> int:
    """Return the bits of the deepest component."""
    return max(part.bits for part in pixel_format.components)


def decode_rgb(frame: VideoFrame, colour: Colour, *, is_deep: bool = False) -> np.ndarray:
    """Return a decoded frame as (H, W, 3) full-range RGB, in the orientation in which it is stored.

    Args:
        is_deep: True to return uint16, with white at 65535, instead of uint8.
    """
    matrix = MATRICES[colour.matrix]
    frame = _without_siting(frame)
    # Untagged grey is full range, and yuvj* always is. The converter knows both.
    known = frame.color_range in (ColorRange.MPEG, ColorRange.JPEG)
    rgb = frame.reformat(
        format="rgb48le" if is_deep else "rgb24",
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=frame.color_range if known else None,
        dst_color_range=ColorRange.JPEG,
        interpolation=None if is_deep else ROUNDED,
    ).to_ndarray()
    return _gain(_white(frame))[rgb] if is_deep else rgb


def is_transparent(pixel_format: VideoFormat) -> bool:
    """Return True if a pixel format has alpha."""
    return any(part.is_alpha for part in pixel_format.components)


def decode_alpha(frame: VideoFrame, *, is_deep: bool = False) -> np.ndarray:
    """Return the alpha of a decoded frame, in the orientation in which it is stored.

    Returns:
        (H, W) uint8, or uint16 if `is_deep`. The largest value is opaque.
    """
    most, form = 65535 if is_deep else 255, frame.format
    if not is_transparent(form):
        return np.full((frame.height, frame.width), most, np.uint16 if is_deep else np.uint8)
    if not _has_alpha_plane(form):
        bits = 16 if depth(form) > 8 else 8
        values = frame.reformat(format="rgba64le" if bits == 16 else "rgba").to_ndarray()[..., 3]
    else:
        bits = form.components[3].bits
        values = _alpha_plane(frame)[:, : frame.width]
    return _rescale(values, (1 << bits) - 1, most).astype(np.uint16 if is_deep else np.uint8)


def encode_picture(image: np.ndarray, pixel_format: str, colour: Colour, alpha: np.ndarray | None = None) -> VideoFrame:
    """Convert (H, W, 3) uint8 or uint16 RGB to a frame of `pixel_format`, stored with the matrix and range of `colour`.

    Args:
        alpha: (H, W) of the image's type, for a format that has it; default: opaque.
    """
    matrix, target = MATRICES[colour.matrix], VideoFormat(pixel_format)
    if alpha is not None and is_transparent(target) and not _has_alpha_plane(target):  # bgra
        rgba = np.concatenate([to_8_bits(image), to_8_bits(alpha)[..., None]], axis=2)
        return VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pixel_format)
    if depth(target) == 8:
        image = to_8_bits(image)
    elif image.dtype == np.uint8 and not _has_chroma(target):
        image = image.astype(np.uint16) * 257  # the converter would shift bits, and white would not be the largest code
    if image.dtype == np.uint16 and not target.is_rgb:
        image = _gain(65535, to=LIMITED_WHITE)[image]
    source = "rgb48le" if image.dtype == np.uint16 else "rgb24"
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(image), format=source).reformat(
        format=pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if colour.is_full else ColorRange.MPEG,
    )
    if alpha is not None and is_transparent(target):
        plane = _alpha_plane(picture)
        most = (1 << target.components[3].bits) - 1
        plane[:, : picture.width] = _rescale(alpha, np.iinfo(alpha.dtype).max, most)
    return picture


def to_8_bits(image: np.ndarray) -> np.ndarray:
    """Round uint16 of any shape to uint8; return uint8 as it is."""
    return _gain(65535, to=255)[image].astype(np.uint8) if image.dtype == np.uint16 else image


def upright(image: np.ndarray, frame: VideoFrame) -> np.ndarray:
    """Rotate and mirror a decoded image, (H, W, 3) or (H, W), as a player does for `frame`."""
    (a, b), (c, d) = orientation(frame)
    if a == 0:  # x' comes from y: after transposing, the signs say what to mirror
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: int(d), :: int(a)])


def orientation(frame: VideoFrame) -> np.ndarray:
    """Return the (2, 2) matrix of -1, 0, 1 that maps (x, y) as stored to (x, y) as shown; y points down.

    Raises:
        ValueError: the display matrix does not consist of quarter turns and mirrors.
    """
    try:
        data = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    except ValueError:  # the frame also has a kind of data that PyAV does not know
        angle = np.deg2rad(frame.rotation)
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).round(6)
    else:
        if data is None:
            return np.eye(2, dtype=int)
        matrix = np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)[:2, :2] / 65536  # 16.16 fixed point
    turn = matrix.round().astype(int)
    if not np.array_equal(turn, matrix) or abs(turn).sum() != 2 or abs(np.linalg.det(turn)) != 1:
        raise ValueError(f"the video is turned by {frame.rotation} degrees; only quarter turns can be applied")
    return turn


def upright_aspect(aspect: Fraction | None, frame: VideoFrame) -> Fraction | None:
    """Return width/height of a pixel after `upright`. Raises ValueError where `upright` does."""
    is_on_its_side = orientation(frame)[0][0] == 0
    return 1 / aspect if aspect and is_on_its_side else aspect


def _has_chroma(pixel_format: VideoFormat) -> bool:
    return not pixel_format.is_rgb and len(pixel_format.components) >= 3


def _has_alpha_plane(pixel_format: VideoFormat) -> bool:
    """Return True if alpha is a plane of its own that holds whole numbers."""
    parts = pixel_format.components
    return len(parts) == 4 and parts[3].plane == 3 and parts[3].bits <= 16


def _alpha_plane(frame: VideoFrame) -> np.ndarray:
    """Return the alpha plane of a frame, (H, at least W), as stored. It can be read and written."""
    plane, is_deep = frame.planes[3], frame.format.components[3].bits > 8
    order = ">" if frame.format.name.endswith("be") else "<"
    values = np.frombuffer(plane, f"{order}u2" if is_deep else np.uint8)
    columns = plane.line_size // values.itemsize
    return values[: frame.height * columns].reshape(frame.height, columns)


def _rescale(values: np.ndarray, largest: int, to: int) -> np.ndarray:
    """Map whole numbers from the range 0 to `largest` to the range 0 to `to`, rounded."""
    if largest == to:
        return values
    return (values.astype(np.uint32) * to + largest // 2) // largest


def _without_siting(frame: VideoFrame) -> VideoFrame:
    """Return the same planes without the position of chroma samples.

    The converter respects that position on the way to RGB, but not on the way back. The chroma of made frames would be
    shifted by a quarter of a sample.
    """
    if not _has_chroma(frame.format):
        return frame
    fresh = VideoFrame(frame.width, frame.height, frame.format.name)
    fresh.color_range = frame.color_range
    for source, target in zip(frame.planes, fresh.planes, strict=True):
        rows, columns = source.height, min(source.line_size, target.line_size)
        given, copied = (np.frombuffer(plane, np.uint8)[: rows * plane.line_size] for plane in (source, target))
        copied.reshape(rows, -1)[:, :columns] = given.reshape(rows, -1)[:, :columns]
    return fresh


def _white(frame: VideoFrame) -> int:
    """Return the 16-bit RGB value of white after conversion. The converter shifts codes, so it may be below 65535."""
    bits = depth(frame.format)
    if _has_chroma(frame.format) and frame.color_range != ColorRange.JPEG:
        return LIMITED_WHITE
    return 65535 if frame.format.is_rgb else (1 << 16) - (1 << max(16 - bits, 0))


@lru_cache(8)
def _gain(white: int, *, to: int = 65535) -> np.ndarray:
    """Return a table of 65536 uint16 that scales `white` to `to`, rounded."""
    return np.clip(np.rint(np.arange(65536) * (to / white)), 0, 65535).astype(np.uint16)
