"""Choose the codec, pixel format and settings of an output."""

import logging
import os
from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from pathlib import Path

from ..read.colour import Colour
from ..read.source import Reader
from .encoders import (
    ANIMATIONS,
    CODECS,
    CONTAINERS,
    DEFAULT_CODECS,
    Codec,
    check_encoder,
    holds,
    parse_options,
    with_options,
)
from .pixels import ALPHA_CODECS, check_alpha, choose_pixel_format, without_alpha
from .segments import Format, try_encoder

logger = logging.getLogger("waveletvfi")

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder prints its settings otherwise

FINEST_UNIT = 10_000  # fewest ticks per second, to keep the times of a source with a variable rate
MOST_TICKS = 10_000_000  # most ticks per second
GIF_RATE = 50  # most frames per second; browsers slow faster GIFs down to 10


def choose_format(
    output: Path,
    picture: Reader,
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
    """Choose the format in which frames are stored.

    Lossless codecs keep the pixel format of the source. The others get 4:2:0, which plays everywhere, in 8 bits or as
    many as the source has. Codecs that need even sizes get 4:4:4 for odd ones.

    Args:
        output: name of the output. Its suffix chooses the container.
        picture: reader of the source.
        rate: nominal frames per second. Default: the source's.
        unit: unit of time in seconds, of which all times are multiples.
        columns: number of pictures side by side.
        codec, crf, preset: codec, quality and speed. Default: those of the container and the codec.
        keeps_alpha: True to keep the alpha of the frames.
        encoder: FFmpeg's name of an encoder, instead of a codec.
        encoder_options: options of the encoder, as KEY=VALUE. They replace its usual options. "pix_fmt" is the pixel
            format.
    Raises:
        ValueError: a suffix, codec, quality, preset, size or option does not fit; the output cannot hold alpha; or the
            encoder is missing or cannot be opened. The message lists what fits.
    """
    suffix = "" if Path(output).is_dir() else Path(output).suffix.lower()
    name = _name_codec(output, suffix, codec, encoder, keeps_alpha=keeps_alpha)
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
        name = "ffv1"  # an animation is assembled from lossless segments
    settings = CODECS[name] if encoder is None else _of_encoder(encoder, suffix)
    if min(size) < settings.smallest or max(size) > settings.largest:
        height, width = size
        raise ValueError(
            f"{name} takes sides from {settings.smallest} to {settings.largest} pixels, not {width}x{height}; "
            "try --codec h264 or ffv1"
        )
    given = parse_options(encoder_options or ())
    if keeps_alpha:
        check_alpha(settings, suffix, given)
    asked = given.pop("pix_fmt", None)
    if crf is not None and "crf" in given:
        raise ValueError(f"--crf {crf} and -e crf={given['crf']} say the same; give one of them")
    usual = _options(name, settings, size, crf, preset, picture.light, keeps_alpha=keeps_alpha)
    if suffix in ANIMATIONS:
        pixel_format = _animation_format(picture, suffix, keeps_alpha=keeps_alpha)
    else:
        pixel_format = asked or choose_pixel_format(settings, picture, size, keeps_alpha=keeps_alpha)
    form = Format(
        suffix,
        settings.encoder if suffix else "",
        tuple(with_options(usual, given).items()),
        pixel_format,
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
    if form.encoder and (is_chosen or min(size) < 64 or max(size) > 4096):  # some encoders refuse such sizes
        try_encoder(form)
    return form


def is_video(path: str | os.PathLike) -> bool:
    """Return True if the suffix is that of a video that is written here."""
    return Path(path).suffix.lower() in DEFAULT_CODECS


def is_animation(path: str | os.PathLike) -> bool:
    """Return True if the suffix is that of a moving image."""
    return Path(path).suffix.lower() in ANIMATIONS


def _of_encoder(encoder: str, suffix: str) -> Codec:
    """Return the settings of an encoder. Raises ValueError if it is missing, or does not fit the container."""
    check_encoder(encoder)
    known = next((settings for settings in CODECS.values() if settings.encoder == encoder), None)
    settings = known or Codec(encoder, tuple(end for end in DEFAULT_CODECS if holds(CONTAINERS[end], encoder)))
    if suffix not in settings.suffixes:
        advice = f"use {', '.join(settings.suffixes)}" if settings.suffixes else "no container that is written here can"
        raise ValueError(f"{suffix} cannot hold the output of {encoder}; {advice}")
    return settings


def _name_codec(output: Path, suffix: str, codec: str | None, encoder: str | None, *, keeps_alpha: bool) -> str | None:
    """Return the key into CODECS, or the name of the chosen encoder; None for an output whose codec cannot be chosen.

    Args:
        output, suffix: name of the output, and its suffix; "" for a folder.
        codec, encoder: codec that the user chose, or encoder by FFmpeg's name; None if not given.
        keeps_alpha: True if the codec must keep alpha.
    """
    if encoder is not None and codec is not None:
        raise ValueError(f"--codec {codec} chooses an encoder, and so does --encoder; give one of them")
    if suffix and suffix not in DEFAULT_CODECS and suffix not in ANIMATIONS:
        known = ", ".join((*DEFAULT_CODECS, *ANIMATIONS))
        raise ValueError(f"{output}: unknown kind {suffix!r}; use {known}, or a folder's name")
    if keeps_alpha and suffix in (".gif", *DEFAULT_CODECS):
        default = ALPHA_CODECS.get(suffix)
        if default is None or (codec in CODECS and suffix not in CODECS[codec].with_alpha):
            raise without_alpha(str(output) if default is None else f"{codec} in {suffix}")
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
    return encoder or name


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
        options["level"] = "3" if min(size) >= 64 else "1"  # version 3 divides a frame into slices
    return options


def _animation_format(picture: Reader, suffix: str, *, keeps_alpha: bool) -> str:
    is_deep = picture.bits > 8 and suffix == ".apng"
    if is_deep and keeps_alpha:  # FFmpeg writes 16 bits with alpha, but does not read them
        logger.warning(
            "an APNG with alpha stores 8 bits, the source has %d; a folder of PNG files keeps them", picture.bits
        )
    if keeps_alpha:
        return "bgra"
    return "gbrp16le" if is_deep else "bgr0"


def _tick(rate: Fraction, unit: Fraction | None) -> Fraction:
    """Return a unit of time in seconds of which the times of frames are multiples, if that is possible."""
    ticks = lcm(rate.numerator, unit.denominator if unit else 1)
    if ticks > MOST_TICKS:
        ticks = rate.numerator
    return Fraction(1, ticks * -(-FINEST_UNIT // ticks))
