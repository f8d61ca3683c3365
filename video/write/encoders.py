"""List codecs and their settings, and ask FFmpeg for its encoders, their containers and their options."""

import contextlib
import difflib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

import av
import av.logging
from av.codec import Codec as Encoder
from av.codec.codec import UnknownCodecError

SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}  # FFmpeg's names
#: Encoders that an error lists if another one is missing.
SOFTWARE = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks", "dnxhd", "ffv1", "mpeg4")
HARDWARE = (
    "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_vaapi", "hevc_vaapi", "av1_vaapi", "h264_qsv", "hevc_qsv",
    "h264_amf", "hevc_amf", "h264_videotoolbox", "hevc_videotoolbox",
)  # fmt: skip
LISTS = ("x264-params", "x265-params", "svtav1-params")  # options whose value is a list of others, A=B:C=D
RATES = {"b", "qp", "q", "cq", "global_quality"}  # options that set the quality, as crf does
SIDE = 256  # side of a picture in pixels that every encoder takes


class Codec(NamedTuple):
    """A codec and its settings.

    encoder: FFmpeg's name of its encoder.
    suffixes: containers that may hold it.
    smallest: smallest side of a picture in pixels.
    largest: largest side of a picture in pixels.
    needs_even: True if 4:2:0 takes even sizes only.
    crf: default of --crf; None if there is no such option.
    worst: largest --crf; None if there is no such option.
    preset: default of --preset; None if there is no such option.
    presets: choices of --preset.
    preset_key: the encoder's name for the preset.
    options: other options of the encoder.
    is_lossless: True if pictures are stored without loss.
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


# The number of threads is fixed, so that files do not depend on the machine. Groups are closed, so that segments can be
# decoded alone. Without "cpu-independent", x264 reads memory that it never wrote (mbtree with AVX-512), and its bytes
# differ from run to run.
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


def check_encoder(name: str) -> None:
    """Raise ValueError if this build has no video encoder of that name. The message lists the existing ones."""
    if not _is_there(name):
        raise ValueError(f"this build of PyAV and FFmpeg has no video encoder {name!r}; it has {describe_encoders()}")


def describe_encoders(*, but: str = "") -> str:
    """List the usual encoders that work on this machine, except `but`. Hardware encoders are opened to find out."""
    names = [name for name in SOFTWARE if _is_there(name)]
    names += [name for name in HARDWARE if name != but and _is_there(name) and _opens(name)]
    return ", ".join(name for name in names if name != but)


def holds(container: str, encoder: str) -> bool:
    """Return True if FFmpeg says that a container holds the output of an encoder."""
    with av.open(io.BytesIO(), "w", format=container) as opened:
        return encoder in opened.supported_codecs


def parse_options(given: Sequence[str]) -> dict[str, str]:
    """Return options by name. Raises ValueError for an option that is not KEY=VALUE, or is given twice."""
    options: dict[str, str] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not (key and sign and value):
            raise ValueError(f"-e takes KEY=VALUE, as -e preset=slow, got {text!r}")
        if key in options:
            raise ValueError(f"-e {key} is given twice: {options[key]} and {value}")
        options[key] = value
    return options


def with_options(options: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Merge an encoder's options with those of a user, which take precedence. Lists are joined."""
    kept = {key: value for key, value in options.items() if key != "crf" or not RATES & given.keys()}
    joined = {key: f"{kept[key]}:{given[key]}" for key in LISTS if key in kept and key in given}
    return {**kept, **given, **joined}


def check_used(encoder: str, options: Mapping[str, str], unused: Collection[str]) -> None:
    """Raise ValueError for options that an encoder did not take, with options of a similar name."""
    if unknown := sorted(unused):
        known = av.CodecContext.create(encoder, "w").supported_options
        names = sorted({option.name for option in (*known.generic, *known.private)})
        near = difflib.get_close_matches(unknown[0], names, n=3)
        advice = f"did you mean {', '.join(near)}?" if near else f"`ffmpeg -h encoder={encoder}` lists them"
        raise ValueError(f"{encoder} has no option {unknown[0]!r} (-e {unknown[0]}={options[unknown[0]]}); {advice}")


@contextlib.contextmanager
def own_words(words: list[str]) -> Iterator[None]:
    """Collect FFmpeg's error messages in `words` inside the block, in their order."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as told:
            yield
    finally:
        av.logging.set_level(level)
        words += [" ".join(text.split()) for _, _, text in told if text.strip()]


def _is_there(name: str) -> bool:
    try:
        codec = Encoder(name, "w")
    except (UnknownCodecError, ValueError):
        return False
    return codec.type == "video" and codec.name == name


def _opens(name: str) -> bool:
    formats = Encoder(name, "w").video_formats or ()
    known = [pixel_format.name for pixel_format in formats]
    context = av.CodecContext.create(name, "w")
    context.width, context.height, context.time_base = SIDE, SIDE, Fraction(1, 25)
    context.pix_fmt = next((usual for usual in ("yuv420p", "nv12") if usual in known), "yuv420p")
    try:
        with own_words([]):
            context.open()
    except (av.FFmpegError, ValueError):
        return False
    return True
