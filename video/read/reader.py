"""Read the frames of a video file in one streaming pass, from the beginning or from any time on."""

import contextlib
import itertools
import logging
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from utils import describe_stranger

from ..frame import Frame
from .colour import Colour, decode_alpha, decode_rgb, depth, orientation, upright, upright_aspect
from .damage import Damage, DamagedVideo, missing_end, missing_in_file
from .decode import Decoded, Pictures
from .deinterlace import deinterlace
from .moving_images import find_delays
from .probe import (
    find_duration,
    find_picture,
    find_rate,
    find_siting,
    find_start,
    has_alpha,
    open_decoder,
    open_media,
    read_light,
    says_alpha,
)
from .times import Clock

logger = logging.getLogger("waveletvfi")

PROGRESSIVE = 1  # FFmpeg's order of fields; 0: unknown, more: interlaced
SEEKABLE = ("mov", "matroska")  # containers with an index of their key frames
BROWSERS = {"default_fps": "10"}  # rate of an APNG whose frames have no duration, as in browsers
MAX_PIXELS = 2**27  # largest frame, 16384x8192; a larger one is a damaged header


class VideoReader:
    """A reader of the frames of a video file.

    Attributes:
        path: the file.
        paths: the file in a list.
        rate: nominal frames per second.
        unit: unit of time in seconds; all times in the file are multiples of it.
        total: expected number of frames; None if the file does not say.
        duration: end of the last frame in seconds; None if the file does not say.
        is_duration_own: True if the file gives the duration of the picture, not only of the whole file.
        size: (H, W) of upright frames.
        bits: bits of a component as stored; with more than 8, frames are uint16.
        pixel_format: pixel format as stored.
        colour: codes of the stored colour.
        aspect: width/height of a pixel of upright frames; None if unknown.
        start: the file's first moment in seconds; the frames' times count from there.
        light: mastering display and light levels of an HDR picture, see `read_light`.
        picture: index of the video stream.
        has_places: True if frames can be read from a given time on.
        is_cut: True if content before the first moment is left out.
        siting: position of subsampled chroma, see `find_siting`.
        coded_rate: nominal pictures per second in the file: half of `rate` if each field becomes a frame.
        has_alpha: True if the frames have alpha.
    """

    has_places, is_cut = True, False

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        is_interlaced: bool = False,
        keeps_alpha: bool = False,
        by_field: bool = False,
    ):
        """Open a file, and read its properties and its first frame.

        Args:
            path: the file.
            is_interlaced: True to make whole frames from interlaced ones, see `read/deinterlace.py`.
            by_field: True to make a whole frame from each field, which gives twice as many.
            keeps_alpha: True to read alpha, too, if the file has an alpha channel.
        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is not a video, is truncated or corrupt, or has no picture.
        """
        self.path = Path(path)
        self.paths = [self.path]
        self._is_deinterlaced, self._keeps_alpha = is_interlaced or by_field, keeps_alpha
        if not self.path.is_file():
            raise FileNotFoundError(f"no video at {self.path}")
        first = self._first_frame()
        container, video, _ = self._open()
        with container:
            self._learn_times(container, video, by_field=by_field)
            self._learn_picture(container, video, first)
        self._first_time = None if first.pts is None else first.pts * first.time_base - self.start
        self._damage = Damage()

    def _learn_times(self, container: InputContainer, video: VideoStream, *, by_field: bool) -> None:
        """Read the times that the file gives. With `by_field`, each picture of the file becomes two frames."""
        self._kinds = set(container.format.name.split(","))
        self.picture, self.unit = video.index, video.time_base
        self.start = find_start(container, video)
        self.rate = find_rate(video, self.path)
        self.duration, self.is_duration_own = find_duration(container, video, self.rate)
        self.total = video.frames or (round(self.duration * self.rate) if self.duration else None)
        if self.has_places and (shown := find_delays(container, self.rate)) is not None:
            self.rate, self.duration, self.total = shown
        self.coded_rate, self._coded_unit = self.rate, self.unit
        self._period = 1 / self.rate if by_field else None
        if by_field:
            self.rate, self.unit, self.total = 2 * self.rate, self.unit / 2, self.total and 2 * self.total

    def _learn_picture(self, container: InputContainer, video: VideoStream, first: VideoFrame) -> None:
        """Read the format of the pictures from the file and its first frame. Warn of what will not be in the output."""
        self.colour, self.siting = Colour.of_stream(video), find_siting(video)
        self.aspect = upright_aspect(video.sample_aspect_ratio or None, first)
        is_transparent = has_alpha(container, video, first)
        self.has_alpha = self._keeps_alpha and is_transparent
        pictures = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        shows_combs = first.interlaced_frame or (video.codec_context.field_order or 0) > PROGRESSIVE
        for note, is_true in (
            ("only the first video stream is kept", len(pictures) > 1),
            ("alpha channel, dropped; --alpha interpolates it, too", is_transparent and not self._keeps_alpha),
            (
                "interlaced: moving edges show combs; --deinterlace makes whole frames of it",
                shows_combs and not self._is_deinterlaced,
            ),
        ):
            if is_true:
                logger.warning("%s: %s", self.path, note)
        self.light = read_light(first)
        self.bits, self.pixel_format = depth(first.format), first.format.name
        self._stored = (first.height, first.width)
        self.size = self._stored if orientation(first)[0][0] else self._stored[::-1]

    def frames(self, *, start: Fraction | None = None) -> Iterator[Frame]:
        """Read the frames in order. It may be called again.

        Args:
            start: time in seconds of the first frame to read. Default: the beginning.
        Raises:
            DamagedVideo: the file ends too early or is damaged. The message says after which frame.
        """
        count, last = 0, None
        if self.has_places:  # of a pipe, reading has begun with the first picture
            self._damage = Damage()
        damage = self._damage
        try:
            for time, decoded in self._timed(start, damage):
                if start is not None and time < start:
                    continue
                frame = self._convert(
                    decoded, time, f"frame {count + 1}" if start is None else f"at {float(time):.3f} s"
                )
                count, last = count + 1, time
                yield frame
        except (av.FFmpegError, MemoryError, ValueError) as error:
            damage.note(getattr(error, "strerror", None) or str(error) or "not enough memory", after=count)
            damage.breaks_off = True
        if text := self._describe(damage, None if start is None else last):
            end = None if damage.lost_until is None else damage.lost_until - self.start
            raise DamagedVideo(text, count=count, time=last, breaks_off=damage.breaks_off, end=end)

    @property
    def damage(self) -> str | None:
        """The damage of the file, as far as the last reading has found it; None if there is none."""
        return self._describe(self._damage, None) or None

    def _describe(self, damage: Damage, last: Fraction | None) -> str:
        text = damage.describe(self.start)
        if not text:
            return ""
        expected = f" of {self.total}" if self.total and last is None else ""
        where = f"{damage.after}{expected}" if last is None else f"at {float(last):.3f} s"
        after = f" after frame {where}" if damage.reason or damage.missing else ""
        return f"{self.path} is truncated or corrupt{after}: {text}"

    def close(self) -> None:
        """Do nothing: no file is held open between frames."""

    def _first_frame(self) -> VideoFrame:
        """Decode the first frame on its own, because only a frame gives the orientation."""
        with self._naming(), open_media(self.path) as container:
            video = find_picture(container, self.path)
            decoder = self._decoder(video, {})
            pictures = (decoder.decode(packet) for packet in container.demux(video))
            first = next(itertools.chain.from_iterable(pictures), None)
        if first is None:
            raise ValueError(f"{self.path} is truncated or corrupt: no frame can be decoded")
        return first

    def _decoder(self, video: VideoStream, options: dict[str, str]) -> VideoCodecContext:
        limit = {"max_pixels": str(MAX_PIXELS)}
        return open_decoder(video, options | limit, keeps_alpha=self._keeps_alpha and says_alpha(video))

    def _open(self) -> tuple[InputContainer, VideoStream, VideoCodecContext]:
        with self._naming():
            container = open_media(self.path, container_options=BROWSERS)
        return container, *self._find(container)

    def _find(self, container: InputContainer) -> tuple[VideoStream, VideoCodecContext]:
        """Return the picture of a container, and its decoder."""
        video = find_picture(container, self.path)
        # With this option, the decoder reports damage instead of guessing missing blocks.
        return video, self._decoder(video, {"err_detect": "explode"})

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, MemoryError, OverflowError) as error:
            if stranger := self._describe_stranger():
                raise ValueError(f"{self.path} is not a video but {stranger}") from error
            reason = getattr(error, "strerror", None) or "it asks for too much memory"
            raise ValueError(
                f"{self.path} is not a video, or is truncated or corrupt: {reason}{self._advice()}"
            ) from error

    def _describe_stranger(self) -> str:
        """Describe a file that is not a video by its content; "" if its kind is unknown."""
        return describe_stranger(self.path)

    def _advice(self) -> str:
        """Return advice for an input that cannot be opened; "" if there is none."""
        return ""

    def _timed(self, start: Fraction | None, damage: Damage) -> Iterator[tuple[Fraction, Decoded]]:
        """Yield (time, decoded frame), from a key frame at or before `start` if possible, else from the first."""
        if start is not None and self._first_time is not None and self._kinds & set(SEEKABLE):
            pictures = self._ticks(Clock(self.rate, self._coded_unit, self.path, first=self._first_time), damage, start)
            head = None
            with contextlib.suppress(av.FFmpegError, ValueError):  # it cannot be decoded
                head = next(pictures, None)
            if head and head[0] <= start and head[1].picture.key_frame:
                yield head
                yield from pictures
                return
            damage.forget()  # it is found again
        yield from self._ticks(Clock(self.rate, self._coded_unit, self.path), damage)

    def _ticks(self, clock: Clock, damage: Damage, start: Fraction | None = None) -> Iterator[tuple[Fraction, Decoded]]:
        for decoded in self._decode(start, damage):
            yield clock.tick(None if decoded.time is None else decoded.time - self.start), decoded

    def _decode(self, start: Fraction | None, damage: Damage) -> Iterator[Decoded]:
        """Decode frames, from the key frame before `start` on. If they end early, note it as damage."""
        container, video, decoder = self._open()
        with container:
            if start is not None:
                with contextlib.suppress(av.FFmpegError):
                    container.seek(math.floor((start + self.start) / self._coded_unit), stream=video)
            is_sought = start is not None
            pictures = Pictures(container, video, self.coded_rate, damage, self.path, decoder, is_sought=is_sought)
            yield from deinterlace(pictures, period=self._period) if self._is_deinterlaced else pictures
            self._end_of(pictures, container, video, damage, is_all=start is None)

    def _end_of(
        self, pictures: Pictures, container: InputContainer, video: VideoStream, damage: Damage, *, is_all: bool
    ) -> None:
        """Note the missing part after the last picture. `is_all` is True if the first picture was read, too."""
        clock = pictures.continuity
        if is_all and not clock.joints:
            end = missing_end(container, video, packets=pictures.packets, reached=clock.reached, picture=clock.picture)
            breaks_off = bool(end) or not container.duration
            damage.end_early(end or self._missing(pictures), after=pictures.count, breaks_off=breaks_off)
        if clock.joints:
            self.duration = None  # the file's duration is wrong if its clock jumps

    def _missing(self, pictures: Pictures) -> str:
        """Describe the missing part of the file by its size; "" if nothing is missing."""
        return missing_in_file(self.path, self._kinds, reached=pictures.reached)

    def _convert(self, decoded: Decoded, time: Fraction, name: str) -> Frame:
        picture = decoded.picture
        if (picture.height, picture.width) != self._stored:
            height, width = self._stored
            raise ValueError(f"the next one is {picture.width}x{picture.height}, those before were {width}x{height}")
        turned = not np.array_equal(orientation(picture), np.eye(2))
        image = upright(decode_rgb(picture, self.colour, is_deep=self.bits > 8), picture)
        if image.shape[:2] != self.size:
            raise ValueError("the next one has another orientation")
        native = None if turned else picture
        alpha = upright(decode_alpha(picture, is_deep=self.bits > 8), picture) if self.has_alpha else None
        return Frame(image, time, f"{self.path} {name}", native, decoded.lasts, decoded.is_after_gap, alpha)
