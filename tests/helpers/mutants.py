"""Videos as nobody should make them: small ones of every kind, and what bytes can do to them."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from helpers.clips import make_clip, square

Change = Callable[[bytearray, np.random.Generator], bytes]

# Suffix, codec, pixel format, size (H, W), number of frames.
KINDS = [
    (".mp4", "libx264", "yuv420p", (48, 64), 24),
    (".mkv", "libx264", "yuv420p10le", (48, 64), 24),
    (".mkv", "ffv1", "yuv422p10le", (17, 33), 3),
    (".webm", "libvpx-vp9", "yuv420p", (35, 51), 6),
    (".mp4", "libsvtav1", "yuv420p", (64, 64), 5),
    (".mp4", "libx265", "yuv420p10le", (48, 64), 8),
    (".avi", "mpeg4", "yuv420p", (48, 64), 24),
    (".ts", "mpeg2video", "yuv420p", (48, 64), 24),
    (".ts", "libx264", "yuv420p", (48, 64), 24),
    (".mov", "mjpeg", "yuvj444p", (31, 47), 3),
    (".mov", "prores_ks", "yuv422p10le", (48, 64), 3),
    (".flv", "flv", "yuv420p", (48, 64), 8),
    (".h264", "libx264", "yuv420p", (48, 64), 12),
    (".gif", "gif", "rgb8", (20, 30), 4),
    (".nut", "rawvideo", "rgb24", (5, 3), 2),
    (".wmv", "wmv2", "yuv420p", (48, 64), 24),
    (".mpg", "mpeg1video", "yuv420p", (48, 64), 12),
    (".ogv", "libvpx", "yuv420p", (48, 64), 12),
]
OPTIONS = {
    "libx264": {"crf": "4", "g": "6"},
    "libx265": {"x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12"},
    **{codec: {"g": "6"} for codec in ("mpeg4", "mpeg2video", "wmv2", "mpeg1video")},
}
PACKET = 188  # bytes of a transport stream's packet
SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (1, 8191), (2, 8190), (8191, 1), (16, 4097), (101, 103)]


def make_originals(folder: Path) -> list[Path]:
    """One file of every kind, and one of every size."""
    paths = []
    for index, (suffix, codec, pix_fmt, (height, width), count) in enumerate(KINDS):
        images = [square(k % 8, max(height, 48), max(width, 64))[:height, :width] for k in range(count)]
        sound = [0.3] if suffix in (".mp4", ".mkv", ".ts") and codec != "rawvideo" else []
        options = OPTIONS.get(codec, {})
        path = folder / f"kind{index}{suffix}"
        rate = Fraction(25)
        paths.append(make_clip(path, images, codec=codec, pix_fmt=pix_fmt, rate=rate, sound=sound, options=options))
    for index, (height, width) in enumerate(SIZES):
        images = [np.full((height, width, 3), 80 * k, np.uint8) for k in range(index % 3 + 1)]
        paths.append(make_clip(folder / f"size{index}.mkv", images, codec="ffv1", options={"level": "1"}, rate=25))
    return [*paths, make_untimed(folder / "untimed.nut")]


def make_untimed(path: Path) -> Path:
    """All frames at time zero."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25, width=32, height=32, pix_fmt="yuvj420p")
        for k in range(3):
            picture = av.VideoFrame.from_ndarray(square(k)[:32, :32], "rgb24")
            for packet in stream.encode(picture):
                packet.pts = packet.dts = 0
                container.mux(packet)
    return path


def flip(share: float) -> Change:
    def change(content: bytearray, random: np.random.Generator) -> bytes:
        for place in random.integers(0, len(content), max(int(len(content) * share), 1)):
            content[place] ^= 1 << int(random.integers(8))
        return content

    return change


def cut(content: bytearray, random: np.random.Generator) -> bytes:
    return content[: int(random.integers(len(content)))]


def erase(content: bytearray, random: np.random.Generator) -> bytes:
    start = int(random.integers(len(content)))
    size = int(random.integers(1, 400))
    content[start : start + size] = bytes(min(size, len(content) - start))
    return content


def remove(content: bytearray, random: np.random.Generator) -> bytes:
    start = int(random.integers(len(content)))
    del content[start : start + int(random.integers(1, 200))]
    return content


def scramble_header(content: bytearray, random: np.random.Generator) -> bytes:
    for place in random.integers(0, min(600, len(content)), 6):
        content[place] = int(random.integers(256))
    return content


def zero(content: bytearray, random: np.random.Generator) -> bytes:
    """Ten transport packets' worth of zeros, or a tenth of a small file, at 30 %: a bad sector."""
    start, size = len(content) * 3 // 10, min(10 * PACKET, len(content) // 10)
    content[start : start + size] = bytes(size)
    return content


def lose_packets(content: bytearray, random: np.random.Generator) -> bytes:
    """Some of the packets of a transmission do not arrive: holes, clusters that are gone, a hurt continuity."""
    for _ in range(3):
        start = int(random.integers(len(content) // PACKET + 1)) * PACKET
        del content[start : start + PACKET * int(random.integers(1, 4))]
    return content


def begin_late(content: bytearray, random: np.random.Generator) -> bytes:
    """A recording that begins in the middle."""
    return content[int(random.integers(len(content) // (2 * PACKET) + 1)) * PACKET :]


def repeat(content: bytearray, random: np.random.Generator) -> bytes:
    """The file twice: a clock that jumps back."""
    return content + content


def borrow_head(others: list[Path]) -> Change:
    def change(content: bytearray, random: np.random.Generator) -> bytes:
        other = others[int(random.integers(len(others)))].read_bytes()
        size = int(random.integers(8, 600))
        content[:size] = other[:size]
        return content

    return change


class Mutant(NamedTuple):
    """path: of the damaged file. original: the whole one. change: the name of the damage."""

    path: Path
    original: Path
    change: str


def mutate(originals: list[Path], folder: Path, count: int) -> Iterator[Mutant]:
    """`count` damaged copies, one of each original in turn, then again with another damage. A copy is gone when the
    next is asked for."""
    changes = [flip(0.0002), cut, zero, lose_packets, flip(0.003), begin_late, erase, remove]
    changes += [repeat, flip(0.03), scramble_header, borrow_head(originals)]
    for number in range(count):
        random = np.random.default_rng(number)
        original = originals[number % len(originals)]
        change = changes[number // len(originals) % len(changes)]
        path = folder / f"{number}{original.suffix}"
        path.write_bytes(change(bytearray(original.read_bytes()), random))
        yield Mutant(path, original, change.__name__)
        path.unlink()
