"""Choose the pixel format in which an output stores the frames of a reader, and write y4m.

y4m (YUV4MPEG2) is the uncompressed video that programs hand to each other through pipes.
"""

import logging
from collections.abc import Mapping, Sequence
from fractions import Fraction

import av
import numpy as np
from av.video.format import VideoFormat

from ..frame import Frame
from ..read.colour import Colour, is_transparent
from ..read.pipes import OUTPUT, PipeOut
from ..read.probe import Y4M_SITINGS
from ..read.source import Reader
from .encoders import DEFAULT_CODECS, Codec
from .segments import Format, as_stored

logger = logging.getLogger("waveletvfi")

DEPTHS = (9, 10, 12, 14, 16)  # bits of the colour formats of FFV1 and y4m beyond 8
PACKED = {("420", 10): ("p010le",), ("422", 10): ("p210le",), ("420", 8): ("nv12",), ("422", 8): ("nv16",)}
RGB = ("gbrp", "bgr0", "rgb24")
# Kinds of chroma by the width and height of the chroma planes of a 64x64 picture.
CHROMA = {(32, 32): "420", (32, 64): "422", (64, 64): "444", (64, 32): "440", (16, 64): "411", (16, 16): "410"}

ALPHA_CODECS = {".mov": "prores", ".mkv": "ffv1", ".webm": "vp9"}  # default codecs if alpha is kept
ALPHA_KEPT = ".mov (ProRes 4444), .webm (VP9), .mkv (FFV1), .apng, or a folder of PNG files"
# Options with which an encoder leaves alpha out although its pixel format has it.
OPAQUE = {"prores_ks": {"profile": ("proxy", "lt", "standard", "hq", "0", "1", "2", "3"), "alpha_bits": ("0",)}}
GREYS = (9, 10, 12, 16)  # bits of grey formats beyond 8
HDR = (16, 18)  # transfer functions of H.273: SMPTE ST 2084 and ARIB STD-B67


def choose_pixel_format(settings: Codec, picture: Reader, size: tuple[int, int], *, keeps_alpha: bool = False) -> str:
    """Return the pixel format of an encoder that keeps most of the picture. Warn if it stores fewer bits.

    Args:
        settings: settings of the codec. A lossless one keeps the source's own format. The others use 4:2:0, which plays
            everywhere, or 4:4:4 for odd sizes if 4:2:0 takes even ones only.
        picture: reader of the source.
        size: (H, W) of the output.
        keeps_alpha: True to choose a format with alpha.
    Raises:
        ValueError: no known format fits.
    """
    encoder = settings.encoder
    known = {pixel_format.name for pixel_format in av.Codec(encoder, "w").video_formats or ()}
    is_odd = bool(size[0] % 2 or size[1] % 2)
    chroma = "444" if settings.needs_even and is_odd else "420"
    is_production = "yuv422p" not in known and _is_fine(picture)  # ProRes has no formats of 8 bits
    wanted = lossless_formats(picture) if settings.is_lossless else _usual(picture, chroma, is_production=is_production)
    if keeps_alpha:
        wanted = [*map(_with_alpha, wanted), "yuva444p10le"]
    fitting = (name for name in wanted if name in known)
    chosen = next((name for name in fitting if not keeps_alpha or is_transparent(VideoFormat(name))), None)
    if chosen is None:
        of_alpha = " with alpha" if keeps_alpha else ""
        raise ValueError(
            f"{encoder} does not say which pixel formats{of_alpha} it takes; name one, as -e pix_fmt=yuv420p"
        )
    stored = VideoFormat(chosen).components[0].bits
    if stored < picture.bits:
        logger.warning("%s stores %d bits, the source has %d; --codec ffv1 keeps them", encoder, stored, picture.bits)
    return chosen


def _usual(picture: Reader, chroma: str, *, is_production: bool) -> list[str]:
    """Return pixel formats for a lossy codec, the best first.

    They have as many bits as the source, else 8, else more. Chroma is that asked for, else finer. For production codecs
    such as ProRes, the finest chroma comes second.
    """
    wanted = []
    for kind in dict.fromkeys((chroma, "444", "422") if is_production else (chroma, "422", "444")):
        planar = {bits: [f"yuv{kind}p{bits}le", *PACKED.get((kind, bits), ())] for bits in (12, 10)}
        usual = [f"yuv{kind}p", *PACKED.get((kind, 8), ()), f"yuvj{kind}p"]
        depths = [bits for bits in (12, 10) if picture.bits > 8 and bits <= max(picture.bits, 10)]
        wanted += [name for bits in depths for name in planar[bits]] + usual + planar[10] + planar[12]
    return [*wanted, *RGB]


def _is_fine(picture: Reader) -> bool:
    """Return True if chroma has as many samples as brightness."""
    source = VideoFormat(picture.pixel_format, 64, 64)
    return source.is_rgb or all((part.width, part.height) == (64, 64) for part in source.components)


def _with_alpha(name: str) -> str:
    """Return the given pixel format with alpha."""
    if name in ("bgr0", "rgb24"):
        return {"bgr0": "bgra", "rgb24": "rgba"}[name]
    if name.startswith("gray"):
        return "gbrap16le" if name != "gray" else "bgra"
    return name.replace("gbrp", "gbrap").replace("yuv", "yuva")


def lossless_formats(picture: Reader) -> list[str]:
    """Return the source's own format without alpha, or the nearest formats that hold all of it, the best first."""
    name = picture.pixel_format.replace("yuvj", "yuv")
    source = VideoFormat(name, 64, 64)
    is_deep = picture.bits > 8
    depths = [f"{bits}le" for bits in DEPTHS if bits >= picture.bits] if is_deep else [""]
    if source.is_rgb or source.has_palette:
        return [f"gbrp{depth}" for depth in depths] if is_deep else ["bgr0"]
    if len(source.components) < 3:
        return [f"gray{depth}" for depth in depths]
    part = source.components[1]
    chroma = CHROMA.get((part.width, part.height), "444")
    return [*(f"yuv{chroma}p{depth}" for depth in depths), *(f"yuv444p{depth}" for depth in depths)]


def check_alpha(settings: Codec, suffix: str, given: Mapping[str, str]) -> None:
    """Raise ValueError for a video that would lose alpha. The message names the setting, and those that keep alpha.

    Args:
        settings: settings of the codec.
        suffix: suffix of the output.
        given: options that the user gave the encoder, and "pix_fmt".
    """
    if suffix in DEFAULT_CODECS and suffix not in settings.with_alpha:
        raise without_alpha(f"{settings.encoder} in {suffix}")
    opaque = OPAQUE.get(settings.encoder, {})
    for key, value in given.items():
        if value in opaque.get(key, ()) or (key == "pix_fmt" and not is_transparent(VideoFormat(value))):
            raise without_alpha(f"-e {key}={value}")


def without_alpha(what: str) -> ValueError:
    """Return the error for a setting that cannot keep alpha."""
    return ValueError(f"{what} cannot keep an alpha channel; use {ALPHA_KEPT}, or leave --alpha out")


def y4m_format(picture: Reader, *, rate: Fraction, columns: int = 1, given: Sequence[str] = ()) -> Format:
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
    finer = [f"yuv444p{depth}le" for depth in DEPTHS if depth >= picture.bits > 8]
    chosen = next(name for name in (*lossless_formats(picture), *finer, "yuv444p") if name in _names())
    siting = getattr(picture, "siting", "")
    if colour.matrix != Colour.of_size(size[0]).matrix or colour.transfer in HDR:
        logger.warning(
            "y4m has no place for the colour matrix and transfer function: %s; tell them to the next program",
            f"matrix {colour.matrix}, primaries {colour.primaries}, transfer {colour.transfer} of ITU-T H.273",
        )
    options = (("siting", siting),) if siting else ()
    return Format(".y4m", "y4m", options, chosen, colour, size, rate, 1 / rate, picture.aspect)


class Y4mWriter:
    """A writer of y4m: a header, then the planes of one frame after another. Each frame is written at once."""

    def __init__(self, output: PipeOut, form: Format):
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
        space = sampling = f"420{Y4M_SITINGS[dict(form.options).get('siting', 'center')]}"
    parts += [f"C{space}", *([f"XYSCSS={sampling.upper()}"] if sampling else [])]
    parts.append(f"XCOLORRANGE={'FULL' if form.colour.is_full else 'LIMITED'}\n")
    return " ".join(parts).encode()


def _names() -> dict[str, tuple[str, str]]:
    """Return the names of FFmpeg's pixel formats in y4m, and in its field XYSCSS."""
    names = {f"yuv{chroma}p": (chroma, chroma) for chroma in ("420", "422", "444", "411")}
    for chroma in ("420", "422", "444"):
        names |= {f"yuv{chroma}p{bits}le": (f"{chroma}p{bits}", f"{chroma}P{bits}") for bits in DEPTHS}
    return names | {"gray": ("mono", "")} | {f"gray{bits}le": (f"mono{bits}", "") for bits in GREYS}
