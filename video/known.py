"""The codecs that are chosen by a name of their own, and how each is used."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

SPEEDS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


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
