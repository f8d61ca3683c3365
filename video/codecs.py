"""Which codec, pixel format and settings an output gets."""

import logging
import os
from collections.abc import Mapping
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

import av
from av.video.format import VideoFormat

from .colour import Colour
from .segments import Format, try_encoder

logger = logging.getLogger("waveletvfi")

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder prints its settings otherwise

FINEST_UNIT = 10_000  # at least so many ticks a second: the times of a variable-rate source survive
MOST_TICKS = 10_000_000  # a second
SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
DEPTHS = (9, 10, 12, 14, 16)  # of FFV1, beyond 8 bits
GIF_RATE = 50  # browsers show anything faster ten times slower


class Codec(NamedTuple):
    """How one codec is used.

    encoder: FFmpeg's name. suffixes: containers it may be in. smallest, largest: sides it takes.
    needs_even: 4:2:0 only for even sizes. crf, worst: default and largest --crf, None where there is none.
    preset, presets: default and choice of --preset. preset_key: the encoder's name for it.
    options: what else the encoder is told. is_lossless: the picture comes back bit for bit.
    """

    encoder: str
    suffixes: tuple[str, ...]
    smallest: int = 1
    largest: int = 16384
    needs_even: bool = False
    crf: int | None = None
    worst: int | None = None
    preset: str | None = None
    presets: tuple[str, ...] = ()
    preset_key: str = "preset"
    options: Mapping[str, str] = MappingProxyType({})
    is_lossless: bool = False


# A fixed number of threads, for files that do not depend on the machine; closed groups, for segments that stand alone.
CODECS = {
    "h264": Codec(
        "libx264", (".mp4", ".m4v", ".mov", ".mkv"), needs_even=True, crf=18, worst=51,
        preset="medium", presets=SPEEDS, options={"threads": "4"},
    ),
    "h265": Codec(
        "libx265", (".mp4", ".m4v", ".mov", ".mkv"), smallest=16, largest=8192, needs_even=True, crf=20, worst=51,
        preset="medium", presets=SPEEDS, options={"x265-params": "log-level=none:open-gop=0:frame-threads=2"},
    ),
    "vp9": Codec(
        "libvpx-vp9", (".webm", ".mkv", ".mp4"), crf=24, worst=63, preset="4", presets=tuple("012345678"),
        preset_key="cpu-used", options={"b": "0", "deadline": "good", "row-mt": "1", "threads": "4"},
    ),
    "av1": Codec(
        "libsvtav1", (".mp4", ".webm", ".mkv"), smallest=64, largest=8192, crf=26, worst=63,
        preset="8", presets=tuple(map(str, range(14))),
    ),
    "ffv1": Codec("ffv1", (".mkv", ".mov"), options={"level": "3", "g": "1"}, is_lossless=True),
}  # fmt: skip
DEFAULT_CODECS = {".mp4": "h264", ".m4v": "h264", ".mov": "h264", ".mkv": "h264", ".webm": "vp9"}
ANIMATIONS = (".gif", ".apng")


class Picture(Protocol):
    """What of a reader decides how its frames are stored."""

    size: tuple[int, int]
    bits: int
    pixel_format: str
    colour: Colour | None
    aspect: Fraction | None
    rate: Fraction
    unit: Fraction


def choose_format(
    output: Path,
    picture: Picture,
    *,
    rate: Fraction | None = None,
    unit: Fraction | None = None,
    columns: int = 1,
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
) -> Format:
    """How to store frames like those of `picture` (a reader) under the name `output`.

    Lossless codecs keep the pixel format of the source; the others get 4:2:0, the one that plays everywhere, of 8 bits
    or as many as the source has, and 4:4:4 where they need even sizes and these are odd.

    Args:
        rate: nominal frames per second; default: the source's. unit: seconds, of which all times are multiples.
        columns: how many pictures stand side by side. codec, crf, preset: default: those of the container and codec.
    Raises:
        ValueError: a suffix, codec, quality, preset or size that does not fit, naming what does.
    """
    suffix = "" if Path(output).is_dir() else Path(output).suffix.lower()
    name = _name_codec(output, suffix, codec)
    rate = rate or picture.rate
    size = (picture.size[0], picture.size[1] * columns)
    colour = picture.colour or Colour.of_size(size[0])
    if name is None:
        if crf is not None or preset is not None:
            raise ValueError(f"--crf and --preset are for videos, not for {output}")
        if suffix == ".gif" and rate > GIF_RATE:
            raise ValueError(
                f"a GIF shows at most {GIF_RATE} frames a second, not {float(rate):g}; use .apng, or --fps"
            )
        name = "ffv1"  # what an animation is assembled from in the end
    settings = CODECS[name]
    _check_size(name, settings, size)
    form = Format(
        suffix,
        settings.encoder if suffix else "",
        tuple(_options(name, settings, size, crf, preset).items()),
        _animation_format(picture, suffix) if suffix in ANIMATIONS else _pixel_format(name, picture, size),
        colour,
        size,
        rate,
        _tick(rate, unit),
        picture.aspect,
    )
    if min(size) < 64 or max(size) > 4096:  # where encoders have limits of their own
        try_encoder(form)
    return form


def is_video(path: str | os.PathLike) -> bool:
    """Whether the suffix is that of a video this module writes."""
    return Path(path).suffix.lower() in DEFAULT_CODECS


def is_animation(path: str | os.PathLike) -> bool:
    """Whether the suffix is that of a moving image."""
    return Path(path).suffix.lower() in ANIMATIONS


def _name_codec(output: Path, suffix: str, codec: str | None) -> str | None:
    """The key into CODECS, None for what has no choice of it."""
    if suffix and suffix not in DEFAULT_CODECS and suffix not in ANIMATIONS:
        known = ", ".join((*DEFAULT_CODECS, *ANIMATIONS))
        raise ValueError(f"{output}: unknown kind {suffix!r}; use {known}, or a folder's name")
    if suffix not in DEFAULT_CODECS:
        if codec is not None:
            raise ValueError(f"--codec is for videos, not for {output}")
        return None
    name = codec or DEFAULT_CODECS[suffix]
    if name not in CODECS:
        raise ValueError(f"unknown --codec {name!r}; there are {', '.join(CODECS)}")
    if suffix not in CODECS[name].suffixes:
        raise ValueError(f"{suffix} does not hold {name}; use {', '.join(CODECS[name].suffixes)}")
    return name


def _check_size(name: str, settings: Codec, size: tuple[int, int]) -> None:
    if min(size) < settings.smallest or max(size) > settings.largest:
        height, width = size
        raise ValueError(
            f"{name} takes sides from {settings.smallest} to {settings.largest} pixels, not {width}x{height}; "
            "try --codec h264 or ffv1"
        )


def _options(name: str, settings: Codec, size: tuple[int, int], crf: int | None, preset: str | None) -> dict[str, str]:
    options = dict(settings.options)
    if crf is not None and not (settings.crf is not None and 0 <= crf <= settings.worst):
        allowed = f"takes --crf from 0 to {settings.worst}" if settings.worst else "is lossless and takes no --crf"
        raise ValueError(f"{name} {allowed}, got {crf}")
    if preset is not None and preset not in settings.presets:
        allowed = f"one of {' '.join(settings.presets)}" if settings.presets else "no --preset"
        raise ValueError(f"{name} takes {allowed}, got --preset {preset}")
    if settings.crf is not None:
        options["crf"] = str(settings.crf if crf is None else crf)
    if settings.preset is not None:
        options[settings.preset_key] = preset or settings.preset
    if settings.is_lossless:
        options["slices"] = "4" if min(size) >= 64 else "1"
    return options


def _pixel_format(name: str, picture: Picture, size: tuple[int, int]) -> str:
    known = {form.name for form in av.Codec(CODECS[name].encoder, "w").video_formats}
    wanted = _lossless_formats(picture) if CODECS[name].is_lossless else _usual_formats(CODECS[name], picture, size)
    chosen = next(pixel_format for pixel_format in wanted if pixel_format in known)
    stored = VideoFormat(chosen).components[0].bits
    if stored < picture.bits:
        logger.warning("%s stores %d bits here, the source has %d; --codec ffv1 keeps them", name, stored, picture.bits)
    return chosen


def _usual_formats(settings: Codec, picture: Picture, size: tuple[int, int]) -> list[str]:
    """Best first."""
    chroma = "444" if settings.needs_even and (size[0] % 2 or size[1] % 2) else "420"
    depths = [bits for bits in (12, 10) if bits <= max(picture.bits, 8) or (bits == 10 and picture.bits > 8)]
    return [f"yuv{chroma}p{bits}le" for bits in depths] + [f"yuv{chroma}p"]


def _lossless_formats(picture: Picture) -> list[str]:
    """The source's own, or the nearest that holds all of it; last one that always exists."""
    name = picture.pixel_format.replace("yuvj", "yuv")
    source = VideoFormat(name, 64, 64)
    if source.is_rgb or source.has_palette:
        return (
            ["bgr0"] if picture.bits <= 8 else [f"gbrp{bits}le" for bits in (9, 10, 12, 14, 16) if bits >= picture.bits]
        )
    if any(part.is_alpha for part in source.components) or len(source.components) < 3:
        name = name.replace("yuva", "yuv").replace("ya8", "gray").replace("ya16", "gray16")
    names = [name, name.removesuffix("be") + "le"]
    if len(source.components) >= 3:
        chroma = {(32, 32): "420", (32, 64): "422", (64, 64): "444", (64, 32): "440", (16, 64): "411", (16, 16): "410"}
        part = source.components[1]
        kind = chroma.get((part.width, part.height), "444")
        names += [f"yuv{kind}p"] if picture.bits <= 8 else []
        names += [f"yuv{kind}p{bits}le" for bits in DEPTHS if bits >= picture.bits > 8]
    return [*names, "yuv444p" if picture.bits <= 8 else "yuv444p16le"]


def _animation_format(picture: Picture, suffix: str) -> str:
    return "gbrp16le" if picture.bits > 8 and suffix == ".apng" else "bgr0"


def _tick(rate: Fraction, unit: Fraction | None) -> Fraction:
    """A unit of time in which the frames of `rate`, and multiples of `unit`, are exact where that is possible."""
    ticks = lcm(rate.numerator, unit.denominator if unit else 1)
    if ticks > MOST_TICKS:
        ticks = rate.numerator
    return Fraction(1, ticks * -(-FINEST_UNIT // ticks))
