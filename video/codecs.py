"""Which codec, pixel format and settings an output gets."""

import logging
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from av.video.format import VideoFormat

from .colour import Colour, is_transparent
from .encoders import check_encoder, holding, parse_options, with_options
from .pixels import Picture, choose_pixel_format
from .segments import Format, try_encoder

logger = logging.getLogger("waveletvfi")

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder prints its settings otherwise

FINEST_UNIT = 10_000  # at least so many ticks a second: the times of a variable-rate source survive
MOST_TICKS = 10_000_000  # a second
SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
GIF_RATE = 50  # browsers show anything faster ten times slower


class Codec(NamedTuple):
    """How one codec is used.

    encoder: FFmpeg's name. suffixes: containers it may be in. smallest, largest: sides it takes.
    needs_even: 4:2:0 only for even sizes. crf, worst: default and largest --crf, None where there is none.
    preset, presets: default and choice of --preset. preset_key: the encoder's name for it.
    options: what else the encoder is told. is_lossless: the picture comes back bit for bit.
    with_alpha: containers in which it keeps alpha.
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
    with_alpha: tuple[str, ...] = ()


# A fixed number of threads, for files that do not depend on the machine; closed groups, for segments that stand alone.
# x264 without "cpu-independent" reads memory that it never wrote (mbtree with AVX-512): other bytes from run to run.
CODECS = {
    "h264": Codec(
        "libx264", (".mp4", ".m4v", ".mov", ".mkv"), needs_even=True, crf=18, worst=51,
        preset="medium", presets=SPEEDS, options={"threads": "4", "x264-params": "cpu-independent=1"},
    ),
    "h265": Codec(
        "libx265", (".mp4", ".m4v", ".mov", ".mkv"), smallest=16, largest=8192, needs_even=True, crf=20, worst=51,
        preset="medium", presets=SPEEDS, options={"x265-params": "log-level=none:open-gop=0:frame-threads=2"},
    ),
    "vp9": Codec(
        "libvpx-vp9", (".webm", ".mkv", ".mp4"), crf=24, worst=63, preset="4", presets=tuple("012345678"),
        preset_key="cpu-used", options={"b": "0", "deadline": "good", "row-mt": "1", "threads": "4"},
        with_alpha=(".webm", ".mkv"),
    ),
    "av1": Codec(
        "libsvtav1", (".mp4", ".webm", ".mkv"), smallest=64, largest=8192, crf=26, worst=63,
        preset="8", presets=tuple(map(str, range(14))),
    ),
    "ffv1": Codec("ffv1", (".mkv",), options={"g": "1"}, is_lossless=True, with_alpha=(".mkv",)),
    "prores": Codec(
        "prores_ks", (".mov", ".mkv"), options={"vendor": "apl0", "threads": "4"}, with_alpha=(".mov", ".mkv")
    ),
}  # fmt: skip
DEFAULT_CODECS = {".mp4": "h264", ".m4v": "h264", ".mov": "h264", ".mkv": "h264", ".webm": "vp9"}
ANIMATIONS = (".gif", ".apng")
ALPHA_CODECS = {".mov": "prores", ".mkv": "ffv1", ".webm": "vp9"}  # where alpha is kept
ALPHA_KEPT = ".mov (ProRes 4444), .webm (VP9), .mkv (FFV1), .apng, or a folder of PNG files"


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
    keeps_alpha: bool = False,
    encoder: str | None = None,
    encoder_options: Sequence[str] | None = None,
) -> Format:
    """How to store frames like those of `picture` (a reader) under the name `output`.

    Lossless codecs keep the pixel format of the source; the others get 4:2:0, the one that plays everywhere, of 8 bits
    or as many as the source has, and 4:4:4 where they need even sizes and these are odd.

    Args:
        rate: nominal frames per second; default: the source's. unit: seconds, of which all times are multiples.
        columns: how many pictures stand side by side. codec, crf, preset: default: those of the container and codec.
        encoder: instead of a codec, FFmpeg's name of an encoder. encoder_options: for it, as KEY=VALUE; they win over
            what it is told otherwise, and "pix_fmt" is the pixel format.
        keeps_alpha: the frames have alpha, which is to be kept.
    Raises:
        ValueError: a suffix, codec, quality, preset, size or option that does not fit, naming what does; no place for
            alpha; an encoder that is not there, or cannot be opened.
    """
    suffix = "" if Path(output).is_dir() else Path(output).suffix.lower()
    name = _name_codec(output, suffix, codec, is_named=encoder is not None, keeps_alpha=keeps_alpha)
    if name is not None and encoder is not None:
        name = encoder
    rate = rate or picture.rate
    size = (picture.size[0], picture.size[1] * columns)
    colour = picture.colour or Colour.of_size(size[0])
    if name is None:
        for flags, given in (("--crf and --preset", (crf, preset)), ("--encoder and -e", (encoder, encoder_options))):
            if any(value is not None for value in given):
                raise ValueError(f"{flags} are for videos, not for {output}")
        if suffix == ".gif" and rate > GIF_RATE:
            raise ValueError(
                f"a GIF shows at most {GIF_RATE} frames a second, not {float(rate):g}; use .apng, or --fps"
            )
        name = "ffv1"  # what an animation is assembled from in the end
    settings = CODECS[name] if encoder is None else _of_encoder(encoder, suffix)
    _check_size(name, settings, size)
    given = parse_options(encoder_options or ())
    pixel_format = given.pop("pix_fmt", None)
    if crf is not None and "crf" in given:
        raise ValueError(f"--crf {crf} and -e crf={given['crf']} say the same; give one of them")
    if keeps_alpha:
        _check_alpha(settings, suffix, pixel_format)
    usual = _options(name, settings, size, crf, preset, picture.light, keeps_alpha=keeps_alpha)
    form = Format(
        suffix,
        settings.encoder if suffix else "",
        tuple(with_options(usual, given).items()),
        _animation_format(picture, suffix, keeps_alpha=keeps_alpha)
        if suffix in ANIMATIONS
        else pixel_format
        or choose_pixel_format(
            settings.encoder,
            picture,
            size,
            is_lossless=settings.is_lossless,
            needs_even=settings.needs_even,
            keeps_alpha=keeps_alpha,
        ),
        colour,
        size,
        rate,
        _tick(rate, unit),
        picture.aspect,
    )
    if picture.aspect not in (None, 1) and not form.keeps_aspect:
        logger.warning(
            "%s: its pixels, %s as wide as high, will look square; h264 and h265 keep that", output, picture.aspect
        )
    is_chosen = encoder is not None or encoder_options is not None
    if form.encoder and (is_chosen or min(size) < 64 or max(size) > 4096):  # where encoders have limits of their own
        try_encoder(form)
    return form


def is_video(path: str | os.PathLike) -> bool:
    """Whether the suffix is that of a video this module writes."""
    return Path(path).suffix.lower() in DEFAULT_CODECS


def is_animation(path: str | os.PathLike) -> bool:
    """Whether the suffix is that of a moving image."""
    return Path(path).suffix.lower() in ANIMATIONS


def _of_encoder(encoder: str, suffix: str) -> Codec:
    """How an encoder is used. Raises ValueError for one that is not there, or does not go into the container."""
    check_encoder(encoder)
    known = next((settings for settings in CODECS.values() if settings.encoder == encoder), None)
    settings = known or Codec(encoder, holding(encoder, DEFAULT_CODECS))
    if suffix not in settings.suffixes:
        advice = f"use {', '.join(settings.suffixes)}" if settings.suffixes else "nothing that is written here does"
        raise ValueError(f"{suffix} does not hold what {encoder} makes; {advice}")
    return settings


def _check_alpha(settings: Codec, suffix: str, pixel_format: str | None) -> None:
    """Raises ValueError where alpha would be lost. pixel_format: the one that a user gave."""
    if suffix in DEFAULT_CODECS and suffix not in settings.with_alpha:
        raise _without_alpha(f"{settings.encoder} in {suffix}")
    if pixel_format is not None and not is_transparent(VideoFormat(pixel_format)):
        raise _without_alpha(f"-e pix_fmt={pixel_format}")


def _without_alpha(what: str) -> ValueError:
    return ValueError(f"{what} cannot keep an alpha channel; use {ALPHA_KEPT}, or leave --alpha out")


def _name_codec(output: Path, suffix: str, codec: str | None, *, is_named: bool, keeps_alpha: bool) -> str | None:
    """The key into CODECS, None for what has no choice of it. is_named: there is an encoder's name instead."""
    if is_named and codec is not None:
        raise ValueError(f"--codec {codec} chooses an encoder, and so does --encoder; give one of them")
    if suffix and suffix not in DEFAULT_CODECS and suffix not in ANIMATIONS:
        known = ", ".join((*DEFAULT_CODECS, *ANIMATIONS))
        raise ValueError(f"{output}: unknown kind {suffix!r}; use {known}, or a folder's name")
    if keeps_alpha and suffix in (".gif", *DEFAULT_CODECS):
        default = ALPHA_CODECS.get(suffix)
        if default is None or (codec in CODECS and suffix not in CODECS[codec].with_alpha):
            raise _without_alpha(str(output) if default is None else f"{codec} in {suffix}")
        codec = codec or default
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


def _options(
    name: str,
    settings: Codec,
    size: tuple[int, int],
    crf: int | None,
    preset: str | None,
    light: str,
    *,
    keeps_alpha: bool,
) -> dict[str, str]:
    options = dict(settings.options)
    if crf is not None and not (settings.crf is not None and 0 <= crf <= settings.worst):
        none = (
            "is lossless and takes no --crf" if settings.is_lossless else "takes no --crf; -e sets options of its own"
        )
        allowed = f"takes --crf from 0 to {settings.worst}" if settings.worst else none
        raise ValueError(f"{name} {allowed}, got {crf}")
    if preset is not None and preset not in settings.presets:
        allowed = f"one of {' '.join(settings.presets)}" if settings.presets else "no --preset"
        raise ValueError(f"{name} takes {allowed}, got --preset {preset}")
    if settings.crf is not None:
        options["crf"] = str(settings.crf if crf is None else crf)
    if settings.preset is not None:
        options[settings.preset_key] = preset or settings.preset
    if settings.encoder == "libx265" and light:
        options["x265-params"] += f":{light}"
    if settings.encoder == "libvpx-vp9" and keeps_alpha:
        options["auto-alt-ref"] = "0"  # the encoder cannot have both
    if settings.is_lossless:
        options["level"] = "3" if min(size) >= 64 else "1"  # the newer one divides a frame into slices
    return options


def _animation_format(picture: Picture, suffix: str, *, keeps_alpha: bool) -> str:
    is_deep = picture.bits > 8 and suffix == ".apng"
    if is_deep and keeps_alpha:  # FFmpeg writes 16 bits with alpha, but does not read them
        logger.warning(
            "an APNG with alpha stores 8 bits, the source has %d; a folder of PNG files keeps them", picture.bits
        )
    if keeps_alpha:
        return "bgra"
    return "gbrp16le" if is_deep else "bgr0"


def _tick(rate: Fraction, unit: Fraction | None) -> Fraction:
    """A unit of time in which the frames of `rate`, and multiples of `unit`, are exact where that is possible."""
    ticks = lcm(rate.numerator, unit.denominator if unit else 1)
    if ticks > MOST_TICKS:
        ticks = rate.numerator
    return Fraction(1, ticks * -(-FINEST_UNIT // ticks))
