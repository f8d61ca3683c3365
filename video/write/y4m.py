"""Write frames as y4m (YUV4MPEG2), the uncompressed video that programs hand to each other through pipes."""

import logging
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
from av.video.format import VideoFormat

from ..frame import Frame
from ..read.colour import Colour
from ..read.files import OUTPUT
from .pixels import Picture, lossless_formats
from .segments import Format, as_stored

logger = logging.getLogger("waveletvfi")

SUFFIX = ".y4m"
DEPTHS = (9, 10, 12, 14, 16)  # bits of colour formats beyond 8
GREYS = (9, 10, 12, 16)  # bits of grey formats beyond 8
# y4m's names of the sitings of 8-bit 4:2:0, as FFmpeg writes them.
SITINGS = {"left": "mpeg2", "center": "jpeg", "topleft": "paldv", "": "jpeg"}
HDR = {16: "smpte2084", 18: "arib-std-b67"}  # transfer functions of H.273


class Bytes(Protocol):
    """A place to write bytes into."""

    def write(self, data: bytes | memoryview) -> None:
        """Write all of the bytes."""


def y4m_format(picture: Picture, *, rate: Fraction, columns: int = 1, given: Sequence[str] = ()) -> Format:
    """Choose the format in which frames are stored as y4m.

    The source's own planes are kept if y4m has a name for them. RGB becomes 4:4:4.

    Args:
        picture: reader of the source.
        rate: frames per second.
        columns: number of pictures side by side.
        given: names of given options that y4m does not have.
    Raises:
        ValueError: there are such options.
    """
    if given:
        names = ", ".join("-e" if name == "encoder_options" else f"--{name}" for name in given)
        raise ValueError(f"{names}: {OUTPUT} gets uncompressed y4m; the program that reads it encodes")
    size = (picture.size[0], picture.size[1] * columns)
    colour = picture.colour or Colour.of_size(size[0])
    chosen = next(name for name in _candidates(picture) if name in _names())
    siting = getattr(picture, "siting", "")
    if colour.matrix != Colour.of_size(size[0]).matrix or colour.transfer in HDR:
        logger.warning(
            "y4m has no place for the colour matrix and transfer function: %s; tell them to the next program",
            f"matrix {colour.matrix}, primaries {colour.primaries}, transfer {colour.transfer} of ITU-T H.273",
        )
    options = (("siting", siting),) if siting else ()
    return Format(SUFFIX, "y4m", options, chosen, colour, size, rate, 1 / rate, picture.aspect)


class Y4mWriter:
    """A writer of y4m: a header, then the planes of one frame after another. Each frame is written at once."""

    def __init__(self, output: Bytes, form: Format):
        self._output, self._format, self._has_begun = output, form, False

    def write(self, frame: Frame) -> None:
        """Write one frame. Times of frames must be even.

        Raises:
            ValueError: the frame has another size.
            OSError: the frame cannot be written.
        """
        picture = as_stored(frame, self._format)
        if not self._has_begun:
            self._output.write(_header(self._format))
            self._has_begun = True
        self._output.write(b"FRAME\n")
        for plane, part in zip(picture.planes, VideoFormat(self._format.pixel_format).components, strict=True):
            width = plane.width * (2 if part.bits > 8 else 1)  # bytes
            rows = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size].reshape(plane.height, -1)
            self._output.write(memoryview(np.ascontiguousarray(rows[:, :width])))


def _header(form: Format) -> bytes:
    (height, width), rate, aspect = form.size, form.rate, form.aspect
    parts = [f"YUV4MPEG2 W{width} H{height} F{rate.numerator}:{rate.denominator} Ip"]
    parts.append(f"A{aspect.numerator}:{aspect.denominator}" if aspect else "A0:0")
    space, sampling = _names()[form.pixel_format]
    if form.pixel_format == "yuv420p":
        space = sampling = f"420{SITINGS[dict(form.options).get('siting', '')]}"
    parts += [f"C{space}", *([f"XYSCSS={sampling.upper()}"] if sampling else [])]
    parts.append(f"XCOLORRANGE={'FULL' if form.colour.is_full else 'LIMITED'}\n")
    return " ".join(parts).encode()


def _names() -> dict[str, tuple[str, str]]:
    """Return the names of FFmpeg's pixel formats in y4m, and in its field XYSCSS."""
    names = {f"yuv{chroma}p": (chroma, chroma) for chroma in ("420", "422", "444", "411")}
    for chroma in ("420", "422", "444"):
        names |= {f"yuv{chroma}p{bits}le": (f"{chroma}p{bits}", f"{chroma}P{bits}") for bits in DEPTHS}
    return names | {"gray": ("mono", "")} | {f"gray{bits}le": (f"mono{bits}", "") for bits in GREYS}


def _candidates(picture: Picture) -> list[str]:
    """Return the pixel formats that can hold the frames, the best first."""
    wanted = lossless_formats(picture)
    bits = [depth for depth in DEPTHS if depth >= picture.bits] if picture.bits > 8 else []
    is_grey = wanted[0].startswith("gray")
    return [*wanted, *(["gray16le"] if is_grey else []), *(f"yuv444p{depth}le" for depth in bits), "yuv444p"]
