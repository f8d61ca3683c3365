"""Read the frames of a video file in one streaming pass, from the beginning or from any time on."""

import contextlib
import itertools
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from utils import describe_stranger

from ..frame import Frame
from .colour import Colour, decode_alpha, decode_rgb, depth, orientation, upright, upright_aspect
from .damage import Damage, DamagedVideo
from .decode import Decoded, Pictures
from .deinterlace import deinterlace
from .files import open_media
from .hdr import read_light
from .missing import missing_end, missing_frame, missing_size
from .probe import (
    find_duration,
    find_picture,
    find_rate,
    find_siting,
    find_start,
    has_alpha,
    open_decoder,
    say_what_is_lost,
    says_alpha,
)
from .times import Clock, find_delays

SEEKABLE = ("mov", "matroska")  # containers that know where their key frames are
BROWSERS = {"default_fps": "10"}  # rate of an APNG whose frames are shown for no time
MAX_PIXELS = 2**27  # of a frame: 16384x8192; more is a damaged header


class VideoReader:
    """The frames of a video file.

    Attributes:
        path, paths: the file, and the same in a list.
        rate: nominal frames per second.
        unit: seconds; all times in the file are multiples of it.
        total: expected number of frames; None if the file does not say.
        duration: seconds at which the last frame ends; None if the file does not say.
        is_duration_own: the file says the duration of the picture, not only of the whole file.
        size: (H, W) when upright.
        bits: bits of a component as stored; more than 8 give uint16 frames.
        pixel_format: as stored.
        colour: how the file stores colour.
        aspect: width/height of a pixel when upright; None if unknown.
        start: what the file calls the first moment; the frames' times count from there.
        light: for which screen a HDR picture was made, as x265 takes it.
        picture: index of the video stream.
        has_places: frames can be read from a time on.
        is_cut: content before the first moment is not wanted.
        siting: where the samples of chroma lie, see `find_siting`.
        coded_rate: nominal pictures per second in the file: half of `rate` if each field becomes a frame.
        has_alpha: the frames have alpha, as the file has it and it is kept.
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
        """Open a file, and learn what it and its first frame say.

        Args:
            is_interlaced: make whole frames of interlaced ones, see `read/deinterlace.py`.
            by_field: make a whole frame of each field, which gives twice as many.
            keeps_alpha: read alpha, too, if the file has some.
        Raises:
            FileNotFoundError: there is no such file.
            ValueError: not a video, truncated or corrupt, or without a picture.
        """
        self.path = Path(path)
        self.paths = [self.path]
        self._is_deinterlaced, self._keeps_alpha = is_interlaced or by_field, keeps_alpha
        if not self.path.is_file():
            raise FileNotFoundError(f"no video at {self.path}")
        first = self._first_frame()
        container, video, _ = self._open()
        with container:
            self._learn_times(container, video)
            self._learn_picture(container, video, first)
            if (shown := find_delays(container, self.rate)) is not None:
                self.rate, self.duration, self.total = shown
        self._count_fields(by_field=by_field)
        self._first_time = None if first.pts is None else first.pts * first.time_base - self.start
        self._damage = Damage()

    def _learn_times(self, container: InputContainer, video: VideoStream) -> None:
        """Take down what the file says of its times."""
        self._kinds = set(container.format.name.split(","))
        self.picture, self.unit = video.index, video.time_base
        self.start = find_start(container, video)
        self.rate = find_rate(video, self.path)
        self.duration, self.is_duration_own = find_duration(container, video, self.rate)
        self.total = video.frames or (round(self.duration * self.rate) if self.duration else None)

    def _count_fields(self, *, by_field: bool) -> None:
        """Take down how frames follow from the file's pictures; with `by_field`, there are two of each picture."""
        self.coded_rate, self._coded_unit = self.rate, self.unit
        self._period = 1 / self.rate if by_field else None
        if by_field:
            self.rate, self.unit, self.total = 2 * self.rate, self.unit / 2, self.total and 2 * self.total

    def _learn_picture(self, container: InputContainer, video: VideoStream, first: VideoFrame) -> None:
        """Take down what the file and its first frame say of how frames are stored."""
        self.colour, self.siting = Colour.of_stream(video), find_siting(video)
        self.aspect = upright_aspect(video.sample_aspect_ratio or None, first)
        self.has_alpha = self._keeps_alpha and has_alpha(container, video, first)
        kept = {"is_deinterlaced": self._is_deinterlaced, "keeps_alpha": self._keeps_alpha}
        say_what_is_lost(self.path, container, video, first, **kept)
        self.light = read_light(first)
        self.bits, self.pixel_format = depth(first.format), first.format.name
        self._stored = (first.height, first.width)
        self.size = self._stored if orientation(first)[0][0] else self._stored[::-1]

    def frames(self, *, start: Fraction | None = None) -> Iterator[Frame]:
        """Read the frames in order, from the beginning or from the first one at or after `start`. May be called again.

        Raises:
            DamagedVideo: the file ends too early or is damaged; says after which frame.
        """
        count, last, damage = 0, None, self._new_damage()
        self._damage = damage
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
        """Return what is wrong with the file, as far as the last reading has found out; None for nothing."""
        return self._describe(self._damage, None) or None

    def _new_damage(self) -> Damage:
        """Return an empty set of notes for one reading."""
        return Damage()

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
        """Decode the first frame on its own: only a frame tells the orientation."""
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
        # A wrong frame is worse than none: the decoder reports damage instead of guessing the missing blocks.
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
        """Return what the file is instead of a video; "" if its content does not tell."""
        return describe_stranger(self.path)

    def _advice(self) -> str:
        """Return what to do about an input that cannot be opened; "" if that is plain."""
        return ""

    def _timed(self, start: Fraction | None, damage: Damage) -> Iterator[tuple[Fraction, Decoded]]:
        """Give (time, decoded frame), from a key frame at or before `start` if one is known, else from the first
        frame."""
        if start is not None and self._first_time is not None and self._kinds & set(SEEKABLE):
            pictures = self._ticks(Clock(self.rate, self._coded_unit, self.path, first=self._first_time), damage, start)
            head = _first_of(pictures)
            if head and head[0] <= start and head[1].picture.key_frame:
                yield head
                yield from pictures
                return
        yield from self._ticks(Clock(self.rate, self._coded_unit, self.path), damage)

    def _ticks(self, clock: Clock, damage: Damage, start: Fraction | None = None) -> Iterator[tuple[Fraction, Decoded]]:
        for decoded in self._decode(start, damage):
            yield clock.tick(None if decoded.time is None else decoded.time - self.start), decoded

    def _decode(self, start: Fraction | None, damage: Damage) -> Iterator[Decoded]:
        """Decode frames, from the key frame before `start` on. Note it as damage if they end early."""
        container, video, decoder = self._open()
        with container:
            if start is not None:
                with contextlib.suppress(av.FFmpegError):
                    container.seek(math.floor((start + self.start) / self._coded_unit), stream=video)
            pictures = Pictures(container, video, self.coded_rate, damage, self.path, decoder)
            yield from deinterlace(pictures, period=self._period) if self._is_deinterlaced else pictures
            self._end_of(pictures, container, video, damage, is_all=start is None)

    def _end_of(
        self, pictures: Pictures, container: InputContainer, video: VideoStream, damage: Damage, *, is_all: bool
    ) -> None:
        """Note what is missing after the last picture. `is_all`: pictures were read from the first one on."""
        clock = pictures.continuity
        if is_all and not clock.joints:
            end = missing_end(container, video, packets=pictures.packets, reached=clock.reached, picture=clock.picture)
            breaks_off = bool(end) or not container.duration
            damage.end_early(end or self._missing(pictures), after=pictures.count, breaks_off=breaks_off)
        if clock.joints:
            self.duration = None  # the file's duration counts with the clock that jumped

    def _missing(self, pictures: Pictures) -> str:
        """Return in words what is missing of the file, found by its size; "" for nothing."""
        size = self.path.stat().st_size
        return missing_size(self.path) or missing_frame(self._kinds, count=size, reached=pictures.reached)

    def _convert(self, decoded: Decoded, time: Fraction, name: str) -> Frame:
        picture = decoded.picture
        if (picture.height, picture.width) != self._stored:
            height, width = self._stored
            raise ValueError(f"the next one is {picture.width}x{picture.height}, those before were {width}x{height}")
        turned = not np.array_equal(orientation(picture), np.eye(2))
        image = upright(decode_rgb(picture, self.colour, is_deep=self.bits > 8), picture)
        if image.shape[:2] != self.size:
            raise ValueError("the next one is turned another way")
        native = None if turned else picture
        alpha = upright(decode_alpha(picture, is_deep=self.bits > 8), picture) if self.has_alpha else None
        return Frame(image, time, f"{self.path} {name}", native, decoded.lasts, decoded.is_after_gap, alpha)


def _first_of(pictures: Iterator[tuple[Fraction, Decoded]]) -> tuple[Fraction, Decoded] | None:
    """Return the first item; None if there is none, or if it cannot be decoded."""
    with contextlib.suppress(av.FFmpegError, ValueError):
        return next(pictures, None)
    return None
