"""Five hundred damaged videos of eleven kinds: what is said of them is true, and nothing else comes of them."""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from test_damage import make
from test_interpolate import Instant
from test_video_robust import convert

import interpolate
from video import VideoReader

COUNT = 500
MOST_DIFFERENT = 10
ORIGINALS = [
    ("a.mp4", "libx264"), ("b.mkv", "libx264"), ("c.webm", "libvpx-vp9"), ("d.avi", "mpeg4"), ("e.ts", "mpeg2video"),
    ("f.ts", "libx264"), ("g.ts", "libx265"), ("h.wmv", "wmv2"), ("i.flv", "flv"), ("j.mov", "mjpeg"),
    ("k.mkv", "ffv1"),
]  # fmt: skip
SILENT = (".webm", ".wmv", ".flv")  # hold no AAC, or not that of others
SIZES = [40, 188, 500, 1880, 6000]  # bytes


def erase(content: bytearray, random: np.random.Generator) -> bytes:
    start, size = int(random.integers(len(content) // 10, len(content))), int(random.choice(SIZES))
    content[start : start + size] = bytes(len(content[start : start + size]))
    return content


def overwrite(content: bytearray, random: np.random.Generator) -> bytes:
    start, size = int(random.integers(len(content) // 10, len(content))), int(random.choice(SIZES))
    place = slice(start, start + size)
    content[place] = random.integers(0, 256, len(content[place]), np.uint8).tobytes()
    return content


def remove_blocks(content: bytearray, random: np.random.Generator) -> bytes:
    """As a bad reception does with a transport stream, whose blocks have 188 bytes."""
    start = int(random.integers(len(content) // 1880, len(content) // 188)) * 188
    del content[start : start + 188 * int(random.integers(1, 20))]
    return content


def cut(content: bytearray, random: np.random.Generator) -> bytes:
    return content[: int(random.integers(len(content) // 4, len(content)))]


def flip(content: bytearray, random: np.random.Generator) -> bytes:
    for place in random.integers(len(content) // 10, len(content), int(random.integers(1, 30))):
        content[place] ^= 1 << int(random.integers(8))
    return content


def mutants(folder: Path) -> Iterator[tuple[int, Path]]:
    """Every mutant is gone when the next is asked for."""
    (folder / "originals").mkdir()
    originals = [
        make(folder / "originals" / name, codec, gop=12, count=40, sound=0 if Path(name).suffix in SILENT else 1.6)
        for name, codec in ORIGINALS
    ]
    changes = [erase, cut, remove_blocks, flip, overwrite]
    for number in range(COUNT):
        original = originals[number % len(originals)]
        change = changes[number // len(originals) % len(changes)]
        path = folder / f"{number}_{change.__name__}{original.suffix}"
        path.write_bytes(change(bytearray(original.read_bytes()), np.random.default_rng(number)))
        yield number, path
        path.unlink()


def decode_plainly(path: Path) -> tuple[list[np.ndarray], bool]:
    """All frames that a decoder gives which patches damage up, and whether it reports errors."""
    frames, has_errors = [], False
    with av.logging.Capture() as logs, contextlib.suppress(av.FFmpegError, IndexError), av.open(str(path)) as container:
        pictures = container.streams.video[:1]
        for packet in container.demux(*pictures) if pictures else ():
            try:
                frames += [frame.to_ndarray() for frame in packet.decode()]
            except av.FFmpegError:
                has_errors = True
    return frames, has_errors or any(level <= av.logging.ERROR for level, *_ in logs)


@pytest.mark.slow
def test_what_comes_out_with_status_0_is_what_a_decoder_gives(tmp_path, monkeypatch, capsys):
    """Tracebacks, hangs and things left over are errors in `convert`; different frames are counted."""
    monkeypatch.setattr(interpolate, "network", lambda args, device: Instant())
    monkeypatch.setattr(logging.getLogger("waveletvfi"), "disabled", True)
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    (tmp_path / "out").mkdir()
    found, different = Counter(), []
    try:
        for number, path in mutants(tmp_path):
            code = convert(path, number, tmp_path / "out", capsys)
            found[code] += 1
            frames, has_errors = decode_plainly(path)
            if code == 0 and has_errors:
                found["errors"] += 1
                ours = [frame.native.to_ndarray() for frame in VideoReader(path).frames()]
                if len(ours) != len(frames) or not all(map(np.array_equal, ours, frames)):
                    different.append(path.name)
    finally:
        av.logging.set_level(level)
    assert set(found) == {0, 1, 3, "errors"} and found[0] > 50 and found[3] > 200 and found["errors"] > 10, found
    print(dict(found), len(different))
    assert len(different) <= MOST_DIFFERENT, different
