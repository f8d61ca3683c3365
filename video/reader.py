"""Frames in: a video file, a folder of frames or a list of images, one frame at a time."""

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame

from utils import read_image, tensor_to_image

from .colour import Colour, decode_rgb, upright

logger = logging.getLogger("waveletvfi")

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
DEFAULT_RATE = Fraction(25)
INDEXED = "mov"  # containers of this family (mp4, mov, m4v) list every packet in advance
TIMED = ("matroska", "avi", "flv")  # these declare a duration in their header


class Frame(NamedTuple):
    """One picture on the timeline.

    image: (H, W, 3) uint8 RGB, upright. time: seconds from the start of the file. source: where it is from, for errors.
    """

    image: np.ndarray
    time: Fraction
    source: str


class ImageReader:
    """The frames of image files, in the given order, `rate` per second. `path` names them in messages."""

    audio: tuple[AudioStream, ...] = ()
    colour: Colour | None = None  # images do not say how a video of them should store colour
    aspect: Fraction | None = None

    def __init__(self, paths: Sequence[str | os.PathLike], *, rate: Fraction = DEFAULT_RATE):
        self._paths = [Path(path) for path in paths]
        missing = [path for path in self._paths if not path.is_file()]
        if missing:
            raise FileNotFoundError(f"no image at {missing[0]}")
        self.path = self._paths[0].parent
        self.rate = rate
        self.total = len(self._paths)

    def frames(self, on_audio: Callable[[Packet], None] | None = None) -> Iterator[Frame]:
        """The frames; `on_audio` is for videos and is never called. Raises ValueError naming an unreadable file."""
        for index, path in enumerate(self._paths):
            with _once_per_kind(index):
                image = tensor_to_image(read_image(path))
            yield Frame(image, index / self.rate, str(path))

    def close(self) -> None:
        """Nothing is held open."""


class VideoReader:
    """The frames of a video file, and its audio packets as they pass, in one streaming pass.

    Attributes:
        rate: nominal frames per second. total: their expected number, None if the file does not say.
        colour: how the file stores colour. aspect: width/height of a pixel when upright, None if unknown.
        audio: its audio streams.
    """

    def __init__(self, path: str | os.PathLike, *, limit: int | None = None):
        """Open `path`; with `limit`, only its first frames and their sound are read.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: not a video, truncated or corrupt, or without a picture.
        """
        self.path = Path(path)
        self._limit = limit
        if not self.path.is_file():
            raise FileNotFoundError(f"no video at {self.path}")
        try:
            self._container = av.open(str(self.path))
        except av.FFmpegError as error:
            raise ValueError(f"{self.path} is not a video, or is truncated or corrupt: {error.strerror}") from error
        pictures = [s for s in self._container.streams.video if not s.disposition & Disposition.attached_pic]
        if not pictures:
            raise ValueError(f"{self.path} holds no video stream; a video, a folder of frames or two images are needed")
        self._video = pictures[0]
        # A wrong frame is worse than none: the decoder reports damage instead of guessing the missing blocks.
        self._video.codec_context.options = {"err_detect": "explode"}
        self.audio = tuple(self._container.streams.audio)
        self.rate = self._find_rate()
        self.total = self._estimate_total()
        self.colour = Colour.of_stream(self._video)
        self.aspect = self._video.sample_aspect_ratio or None
        self._say_what_is_lost()

    def frames(self, on_audio: Callable[[Packet], None] | None = None) -> Iterator[Frame]:
        """The frames in order; `on_audio` receives every audio packet on the way, its times starting with the file's.

        Raises:
            ValueError: the file ends too early or is damaged; says after which frame.
        """
        start = Fraction(max(self._container.start_time or 0, 0), 1_000_000)
        clock = _Clock(self.rate, self._video.time_base)
        count, end = 0, None
        for item in self._decode():
            if isinstance(item, Packet):
                late = end is not None and item.pts is not None and item.pts * item.time_base - start >= end
                if on_audio and item.size and not late:
                    _shift(item, start)
                    on_audio(item)
                continue
            if end is not None:
                if self._audio_is_done(item, end + start):
                    return
                continue
            count += 1
            image = upright(decode_rgb(item, self.colour), item)
            time = clock.tick(None if item.pts is None else item.pts * item.time_base - start)
            yield Frame(image, time, f"{self.path} frame {count}")
            end = time + 1 / self.rate if count == self._limit else None

    def close(self) -> None:
        self._container.close()
