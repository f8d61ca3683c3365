"""FFmpeg's encoders by their names: which are there, what goes into which container, and their own options."""

import contextlib
import difflib
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

import av
import av.logging
from av.codec import Codec
from av.codec.codec import UnknownCodecError

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}  # FFmpeg's names
#: Those that are named where another is missing.
SOFTWARE = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks", "dnxhd", "ffv1", "mpeg4")
HARDWARE = (
    "h264_nvenc", "hevc_nvenc", "av1_nvenc", "h264_vaapi", "hevc_vaapi", "av1_vaapi", "h264_qsv", "hevc_qsv",
    "h264_amf", "hevc_amf", "h264_videotoolbox", "hevc_videotoolbox",
)  # fmt: skip
LISTS = ("x264-params", "x265-params", "svtav1-params")  # options whose value is a list of others, A=B:C=D
RATES = {"b", "qp", "q", "cq", "global_quality"}  # options that decide about the quality, as crf does
SIDE = 256  # pixels: every encoder takes pictures of this size


def check_encoder(name: str) -> None:
    """Raises ValueError, with those that are there, for what is not the name of an encoder of video in this build."""
    if not _is_there(name):
        raise ValueError(
            f"this build of PyAV and FFmpeg has no encoder {name!r} of video; there are {describe_encoders()}"
        )


def describe_encoders(*, but: str = "") -> str:
    """Return the usual encoders that can be used on this machine: those for a device are opened to find out."""
    names = [name for name in SOFTWARE if _is_there(name)]
    names += [name for name in HARDWARE if name != but and _is_there(name) and _opens(name)]
    return ", ".join(name for name in names if name != but)


def holding(encoder: str, suffixes: Iterable[str]) -> tuple[str, ...]:
    """Return those suffixes whose containers hold what an encoder makes."""
    return tuple(suffix for suffix in suffixes if holds(CONTAINERS[suffix], encoder))


def holds(container: str, encoder: str) -> bool:
    """Return True if FFmpeg says of a container that it holds what an encoder makes."""
    with av.open(io.BytesIO(), "w", format=container) as opened:
        return encoder in opened.supported_codecs


def parse_options(given: Sequence[str]) -> dict[str, str]:
    """Return options by name. Raises ValueError for one that is not KEY=VALUE, or comes twice."""
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
    """Return an encoder's options with those that a user gave: these win; in lists, the later entry wins."""
    kept = {key: value for key, value in options.items() if key != "crf" or not RATES & given.keys()}
    joined = {key: f"{kept[key]}:{given[key]}" for key in LISTS if key in kept and key in given}
    return {**kept, **given, **joined}


def check_used(encoder: str, options: Mapping[str, str], unused: Collection[str]) -> None:
    """Raises ValueError for options that an encoder did not take, with those of a similar name."""
    if unknown := sorted(unused):
        known = av.CodecContext.create(encoder, "w").supported_options
        names = sorted({option.name for option in (*known.generic, *known.private)})
        near = difflib.get_close_matches(unknown[0], names, n=3)
        advice = f"did you mean {', '.join(near)}?" if near else f"`ffmpeg -h encoder={encoder}` lists them"
        raise ValueError(f"{encoder} has no option {unknown[0]!r} (-e {unknown[0]}={options[unknown[0]]}); {advice}")


@contextlib.contextmanager
def own_words(words: list[str]) -> Iterator[None]:
    """Collect in `words` the errors that FFmpeg tells meanwhile, the first one first."""
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
        codec = Codec(name, "w")
    except (UnknownCodecError, ValueError):
        return False
    return codec.type == "video" and codec.name == name


def _opens(name: str) -> bool:
    formats = Codec(name, "w").video_formats or ()
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
