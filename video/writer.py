"""Frames out: a video file with the source's sound, complete under its name or not there at all."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from utils import atomic_path

from .colour import Colour, encode_picture
from .frame import Frame

logger = logging.getLogger("waveletvfi")

ENCODERS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
OPTIONS = {
    "libx264": {"preset": "medium"},
    "libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
}
FINEST_UNIT = 10_000  # at least so many ticks a second: the times of a variable-rate source survive
CRF = 18


def is_video(path: str | os.PathLike) -> bool:
    """Whether the suffix is that of a video this module writes."""
    return Path(path).suffix.lower() in ENCODERS


@contextlib.contextmanager
def video_writer(path: str | os.PathLike, *, rate: Fraction, **options: object) -> Iterator["VideoWriter"]:
    """A `VideoWriter` whose file takes the name `path` when the block succeeds, and is removed when it does not.

    Raises:
        OSError: no space, no permission; the file that was there, if any, is untouched.
    """
    with atomic_path(path) as temporary:
        try:
            writer = VideoWriter(temporary, rate=rate, **options)
            try:
                yield writer
                writer.finish()
            finally:
                writer.close()
        except av.FFmpegError as error:
            raise OSError(f"cannot write {path}: {error.strerror}") from error


class VideoWriter:
    """H.264 (VP9 in .webm), limited-range YCbCr; the file format follows the suffix.

    Chroma is halved (yuv420p) where both sizes are even, else kept (yuv444p), as H.264 has no odd halves.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        rate: Fraction,
        colour: Colour | None = None,
        aspect: Fraction | None = None,
        audio: Sequence[AudioStream] = (),
        hold: int = 0,
        crf: int = CRF,
    ):
        """Open `path`; the streams are set up by the first frame.

        Args:
            rate: nominal frames per second. colour: default by size. aspect: width/height of a pixel.
            audio: source streams whose packets `write_audio` will be given.
            hold: how often the last frame is repeated, one period apart, so that it lasts as long as in the source.
            crf: constant rate factor, smaller is better and larger.
        """
        suffix = Path(path).suffix.lower()
        fast_start = {"movflags": "faststart"} if suffix in (".mp4", ".m4v", ".mov") else {}
        self._container = av.open(str(path), "w", options=fast_start)
        self._encoder = ENCODERS[suffix]
        self._rate, self._colour, self._aspect, self._crf, self._hold = rate, colour, aspect, crf, hold
        self._unit = Fraction(1, rate.numerator * -(-FINEST_UNIT // rate.numerator))
        self._sources = list(audio)
        self._copies: dict[int, AudioStream | None] = {}  # by the source's index; None: dropped
        self._waiting: list[Packet] = []
        self._video: VideoStream | None = None
        self._last: Frame | None = None
        self.count = 0

    def write(self, frame: Frame) -> None:
        """Encode one frame; times must increase and sizes must not change."""
        if self._video is None:
            self._start(*frame.image.shape[:2])
        picture = encode_picture(frame.image, self._video.pix_fmt, self._colour)
        picture.time_base = self._unit
        picture.pts = round(frame.time / self._unit)
        picture.duration = round(1 / self._rate / self._unit)
        self._container.mux(self._video.encode(picture))
        self._last = frame
        self.count += 1

    def write_audio(self, packet: Packet) -> None:
        """Copy one packet of a stream in `audio`, as it is."""
        if self._video is None:
            self._waiting.append(packet)
        elif (copy := self._copies[packet.stream.index]) is not None:
            packet.stream = copy
            self._container.mux(packet)

    def finish(self) -> None:
        """Hold the last frame, then write out what the encoder still has and the file's index."""
        for _ in range(self._hold):
            self.write(self._last._replace(time=self._last.time + 1 / self._rate))
        self._container.mux(self._video.encode())
        self._container.close()

    def close(self) -> None:
        """Let go of the file; without `finish` before, it is not usable."""
        with contextlib.suppress(av.FFmpegError):
            self._container.close()

    def _start(self, height: int, width: int) -> None:
        options = {"crf": str(self._crf), **OPTIONS[self._encoder]}
        self._video = video = self._container.add_stream(self._encoder, rate=self._rate, options=options)
        video.height, video.width = height, width
        video.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        video.codec_context.time_base = self._unit
        self._colour = self._colour or Colour.of_size(height)
        video.codec_context.colorspace, video.codec_context.color_range = self._colour.matrix, 1 + self._colour.is_full
        video.codec_context.color_primaries, video.codec_context.color_trc = self._colour[1:3]
        if self._aspect:
            video.sample_aspect_ratio = self._aspect
        self._copies = {source.index: self._copy_stream(source) for source in self._sources}
        while self._waiting:
            self.write_audio(self._waiting.pop(0))

    def _copy_stream(self, source: AudioStream) -> AudioStream | None:
        codec = source.codec_context.name if source.codec_context else "unknown"
        if codec not in self._container.supported_codecs:
            kind = self._container.format.name
            logger.warning("%s cannot hold %s sound, dropped; .mkv holds everything", kind, codec)
            return None
        stream = self._container.add_stream_from_template(source)
        stream.metadata.update(source.metadata)
        stream.disposition = source.disposition
        return stream
