"""A video file as frames and audio packets, in one streaming pass."""

import logging
import math
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from .colour import Colour, decode_rgb, upright, upright_aspect
from .images import DEFAULT_RATE, Frame

logger = logging.getLogger("waveletvfi")

INDEXED = "mov"  # containers of this family (mp4, mov, m4v) list every packet in advance
ROUNDING = Fraction(1, 5)  # seconds by which a declared duration may be too long
TIMED = ("matroska", "avi", "flv")  # these declare a duration in their header


class VideoReader:
    """The frames of a video file, and its audio packets as they pass, in one streaming pass.

    Attributes:
        rate: nominal frames per second. total: their expected number, None if the file does not say.
        colour: how the file stores colour. aspect: width/height of a pixel when upright, None if unknown.
        audio: its audio streams.
    """

    def __init__(self, path: str | os.PathLike, *, seconds: Fraction | None = None):
        """Open `path`; with `seconds`, only the frames and the sound before that time are read.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: not a video, truncated or corrupt, or without a picture.
        """
        self.path = Path(path)
        self._end = seconds
        if not self.path.is_file():
            raise FileNotFoundError(f"no video at {self.path}")
        self._container, self._video, first = self._open()
        self.audio = tuple(self._container.streams.audio)
        self.rate = self._find_rate()
        self.total = self._estimate_total()
        self.colour = Colour.of_stream(self._video)
        self.aspect = upright_aspect(self._video.sample_aspect_ratio or None, first)
        self._say_what_is_lost(first)

    def frames(self, on_audio: Callable[[Packet], None] | None = None) -> Iterator[Frame]:
        """The frames in order; `on_audio` receives every audio packet on the way. All times start with the file's.

        Raises:
            ValueError: the file ends too early or is damaged; says after which frame.
        """
        start = Fraction(max(self._container.start_time or 0, 0), 1_000_000)
        clock = _Clock(self.rate, self._video.time_base, self.path)
        count = 0
        for item in self._decode():
            time = None if item.pts is None else item.pts * item.time_base - start
            if isinstance(item, Packet):
                if on_audio and not self._is_late(time):
                    _move(item, -start)
                    on_audio(item)
                continue
            time = clock.tick(time)
            if self._is_late(time, grace=1):  # by now all sound before the end has passed, too
                return
            if not self._is_late(time):
                count += 1
                image = upright(decode_rgb(item, self.colour), item)
                yield Frame(image, time, f"{self.path} frame {count}")

    def close(self) -> None:
        self._container.close()

    def _open(self) -> tuple[InputContainer, VideoStream, VideoFrame]:
        """The container, its picture, and the first frame (read once and again, as orientation is only known there)."""
        try:
            with av.open(str(self.path)) as container:
                first = next(container.decode(_find_picture(container, self.path)), None)
            container = av.open(str(self.path))
        except av.FFmpegError as error:
            raise ValueError(f"{self.path} is not a video, or is truncated or corrupt: {error.strerror}") from error
        if first is None:
            raise ValueError(f"{self.path} is truncated or corrupt: no frame can be decoded")
        video = _find_picture(container, self.path)
        # A wrong frame is worse than none: the decoder reports damage instead of guessing the missing blocks.
        video.codec_context.options = {"err_detect": "explode"}
        return container, video, first

    def _say_what_is_lost(self, first: VideoFrame) -> None:
        streams, parts = self._container.streams, first.format.components
        lost = sorted({stream.type for stream in streams} - {"video", "audio"})
        notes = {
            f"{', '.join(lost)} streams are not kept": bool(lost),
            "only the first video stream is kept": len(streams.video) > 1,
            f"{parts[0].bits}-bit colour, read as 8-bit": parts[0].bits > 8,
            "alpha channel, dropped": any(part.is_alpha for part in parts),
            "interlaced: deinterlace it first, or moving edges show combs": first.interlaced_frame,
        }
        for note in (text for text, is_true in notes.items() if is_true):
            logger.warning("%s: %s", self.path, note)

    def _decode(self) -> Iterator[Packet | VideoFrame]:
        """Audio packets and decoded frames as they come; damage and an early end are errors."""
        packets = frames = 0
        reached = Fraction(0)
        try:
            for packet in self._container.demux():
                if packet.pts is not None:
                    reached = max(reached, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.type == "audio":
                    if packet.size:  # the last, empty packet only says that the file has ended
                        yield packet
                    continue
                if packet.stream.index != self._video.index:
                    continue
                packets += packet.size > 0
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise ValueError(f"{self.path} is damaged: frame {frames + 1} cannot be decoded completely")
                    frames += 1
                    yield frame
        except av.FFmpegError as error:
            expected = f" of {self.total}" if self.total else ""
            raise ValueError(
                f"{self.path} is truncated or corrupt after frame {frames}{expected}: {error.strerror}"
            ) from error
        self._check_end(packets, frames, reached)

    def _check_end(self, packets: int, frames: int, reached: Fraction) -> None:
        kinds = self._container.format.name.split(",")
        promised = len(self._video.index_entries) if INDEXED in kinds else 0
        duration = Fraction(self._container.duration or 0, 1_000_000)
        if packets < promised:
            raise ValueError(f"{self.path} is truncated: it ends after frame {frames} of {promised}")
        if set(kinds) & set(TIMED) and reached + ROUNDING < duration:
            raise ValueError(
                f"{self.path} is truncated: it ends after frame {frames}, "
                f"at {float(reached):.1f} of {float(duration):.1f} seconds"
            )

    def _find_rate(self) -> Fraction:
        rate = self._video.guessed_rate or self._video.average_rate
        if not rate:
            logger.warning("%s does not say its frame rate, taken as %s", self.path, DEFAULT_RATE)
        return Fraction(rate or DEFAULT_RATE).limit_denominator(1001)

    def _estimate_total(self) -> int | None:
        duration, unit = self._video.duration, self._video.time_base
        if not duration:
            duration, unit = self._container.duration, Fraction(1, 1_000_000)
        total = self._video.frames or (round(duration * unit * self.rate) if duration else None)
        return min(total, math.ceil(self._end * self.rate)) if total and self._end is not None else total

    def _is_late(self, time: Fraction | None, *, grace: int = 0) -> bool:
        return self._end is not None and time is not None and time >= self._end + grace


class _Clock:
    """Times of frames: exactly on the grid of the nominal rate where the file, in its coarser unit, says about that."""

    def __init__(self, rate: Fraction, unit: Fraction, path: Path):
        self._rate, self._unit, self._path = rate, unit, path
        self._first: Fraction | None = None
        self._last: Fraction | None = None
        self._is_steady = True

    def tick(self, time: Fraction | None) -> Fraction:
        """The time of the next frame, given what the file says (None: nothing)."""
        if self._last is None:
            self._first = self._last = time or Fraction(0)
            return self._first
        expected = self._last + 1 / self._rate
        if time is None:
            time = expected
        nearest = self._first + round((time - self._first) * self._rate) / self._rate
        if abs(nearest - time) <= self._unit < 1 / (4 * self._rate):
            time = nearest
        if time <= self._last:
            if self._is_steady:
                logger.warning("%s: frame times do not increase; one period is put between such frames", self._path)
            self._is_steady = False
            time = expected
        self._last = time
        return time


def _move(packet: Packet, by: Fraction) -> None:
    """Shift a packet's times by seconds."""
    ticks = round(by / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks


def _find_picture(container: InputContainer, path: Path) -> VideoStream:
    """The first video stream that is not a cover image."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise ValueError(f"{path} holds no video stream; a video, a folder of frames or two images are needed")
