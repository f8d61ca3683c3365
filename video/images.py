"""Frames as image files, in and out, and what a frame is."""

import contextlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.frame import VideoFrame
from PIL import Image

from utils import read_image, tensor_to_image

from .facts import DEFAULT_RATE
from .frame import Frame

logger = logging.getLogger("waveletvfi")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


class ImageReader:
    """The frames of image files, in the given order, `rate` per second. Attributes as in `VideoReader`."""

    audio: tuple[AudioStream, ...] = ()
    colour = None  # images do not say how a video of them should store colour
    aspect = None

    def __init__(self, paths: Sequence[str | os.PathLike], *, rate: Fraction = DEFAULT_RATE):
        self._paths = [Path(path) for path in paths]
        for path in self._paths:
            if not path.is_file():
                raise FileNotFoundError(f"no image at {path}")
        self.rate = rate
        self.total = len(self._paths)
        self._said: set[tuple] = set()

    def frames(self, on_audio: Callable[[Packet], None] | None = None) -> Iterator[Frame]:
        """The frames; `on_audio` is for videos and is never called. Raises ValueError naming an unreadable file."""
        for index, path in enumerate(self._paths):
            logger.addFilter(self._is_new)
            try:
                image = tensor_to_image(read_image(path))
            finally:
                logger.removeFilter(self._is_new)
            yield Frame(image, index / self.rate, str(path))

    def close(self) -> None:
        """Nothing is held open."""

    def _is_new(self, record: logging.LogRecord) -> bool:
        """A folder of a thousand grey frames says so once: records are told apart by all but the file's name."""
        kind = (record.msg, *record.args[1:])
        is_new = kind not in self._said
        self._said.add(kind)
        return is_new


def write_png(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 or uint16 RGB. Raises OSError naming the file where that fails."""
    try:
        if image.dtype == np.uint16:
            encoder = CodecContext.create("png", "w")
            encoder.height, encoder.width = image.shape[:2]
            encoder.pix_fmt, encoder.time_base = "rgb48be", Fraction(1)
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb48le").reformat(format="rgb48be")
            path.write_bytes(b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None))))
        else:
            Image.fromarray(image).save(path)
    except OSError as error:  # a full disk is reported without a name
        raise OSError(f"cannot write {path.name} of the frames: {error.strerror or error}") from error


class FolderWriter:
    """Numbered PNG files in an existing folder; see `folder_writer`."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.count = 0

    def write(self, frame: Frame) -> None:
        write_png(self._folder / f"{self.count:06d}.png", frame.image)
        self.count += 1

    def write_audio(self, packet: Packet) -> None:
        """A folder has no sound."""


@contextlib.contextmanager
def folder_writer(path: str | os.PathLike) -> Iterator[FolderWriter]:
    """A `FolderWriter` into a temporary sibling that takes the name `path` (new, or an empty folder) when the block
    succeeds, and is removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield FolderWriter(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if path.is_dir():
            path.rmdir()  # only ever an empty one
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def list_frames(folder: str | os.PathLike) -> list[Path]:
    """The image files of a folder in natural order (2 before 10), hidden files skipped.

    Raises:
        ValueError: there is none.
    """
    folder = Path(folder)
    paths = [path for path in folder.iterdir() if is_image(path) and not path.name.startswith(".")]
    if not paths:
        raise ValueError(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return sorted(paths, key=lambda path: (_natural(path.name), path.name))


def is_image(path: str | os.PathLike) -> bool:
    """Whether the suffix is that of a still image."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def _natural(name: str) -> list[str | int]:
    parts = re.split(r"(\d+)", name.lower())  # text and numbers in turn, so that like meets like
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]
