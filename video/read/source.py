"""Open the reader of an input, and read the part of its frames that is used."""

import logging
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image

from utils import natural_order

from ..frame import Frame
from .damage import DamagedVideo
from .images import UNREADABLE, ImageReader, describe_gaps, is_image, list_frames
from .moving_images import WebpReader, is_animated_webp
from .pipes import PipeIn, PipeReader, is_pipe
from .probe import DEFAULT_RATE
from .reader import VideoReader
from .times import LONGEST

logger = logging.getLogger("waveletvfi")

Reader = VideoReader | ImageReader | WebpReader


def open_reader(
    inputs: Sequence[Path],
    rate: Fraction | None = None,
    *,
    is_interlaced: bool = False,
    by_field: bool = False,
    keeps_alpha: bool = False,
) -> Reader:
    """Open the reader of an input.

    Args:
        inputs: a video ("-" is standard input), a folder of images, a pattern such as "frames/*.png", or images.
        rate: frames per second of images. A video has its own.
        is_interlaced, by_field: options for videos, see `VideoReader`.
        keeps_alpha: True to read alpha, too, if the input has an alpha channel.
    Raises:
        FileNotFoundError: a path does not exist; the message names it.
        ValueError: the input is a single image, a folder or a video beside other inputs, or cannot be read.
    """
    if is_pipe(inputs[0]):
        return PipeReader(PipeIn(), is_interlaced=is_interlaced, by_field=by_field, keeps_alpha=keeps_alpha)
    rate = DEFAULT_RATE if rate is None else rate
    if len(inputs) > 1:
        folder = next((path for path in inputs if path.is_dir()), None)
        if folder is not None:
            raise ValueError(f"{folder} is a folder; give one folder, or two images")
        other = next((path for path in inputs if not is_still(_existing(path))), None)
        if other is not None:
            raise ValueError(
                f"{other} is not an image, but several inputs are taken as images in their order; "
                "give one video at a time, or two images"
            )
        return ImageReader(inputs, rate=rate, keeps_alpha=keeps_alpha)
    path = Path(inputs[0])
    if path.is_dir():
        return _read_folder(list_frames(path), path, rate, keeps_alpha=keeps_alpha)
    if is_pattern(path):
        paths = natural_order(name for name in path.parent.glob(path.name) if is_image(name))
        if not paths:
            raise FileNotFoundError(f"no image matches {path}")
        return _read_folder(paths, path, rate, keeps_alpha=keeps_alpha)
    if path.suffix.lower() == ".webp" and is_animated_webp(_existing(path)):
        return WebpReader(path, keeps_alpha=keeps_alpha)
    if is_image(_existing(path)) and _count_pictures(path) <= 1:
        raise ValueError(f"{path} is one image; give two, a folder of frames, or a video")
    return VideoReader(path, is_interlaced=is_interlaced, by_field=by_field, keeps_alpha=keeps_alpha)


def _read_folder(paths: list[Path], place: Path, rate: Fraction, *, keeps_alpha: bool) -> ImageReader:
    if gaps := describe_gaps(paths):
        logger.warning("%s: %s; the frames are taken as evenly spaced", place, gaps)
    return ImageReader(paths, rate=rate, keeps_alpha=keeps_alpha)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    return path


def is_pattern(path: Path) -> bool:
    """Return True for a pattern such as "frames/*.png"."""
    return not path.exists() and bool(set(path.name) & set("*?["))


def is_still(path: Path) -> bool:
    """Return True for a still image, by its suffix or by its content."""
    return is_image(path) or _count_pictures(path) == 1


def _count_pictures(path: Path) -> int:
    """Return the number of pictures that Pillow finds in a file; 0 if Pillow cannot read it."""
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1)
    except UNREADABLE:
        return 0


class Source:
    """The part of a reader's frames that is used: those in a range of times, up to damage.

    Attributes, which are known after the last frame:
        damage: description of the input's damage; None if there is none.
        start: time at which the first frame begins, in seconds.
        end: time at which the last frame ends, in seconds.
        is_whole: True if the frames continue to the end of the input.
    """

    def __init__(
        self, reader: Reader, *, start: Fraction | None = None, end: Fraction | None = None, loops: bool = False
    ):
        """Choose a part of the frames.

        Args:
            reader: reader of the input.
            start, end: use the frames from `start` on and before `end`, in seconds.
            loops: True to repeat the first frame after the last one, so that frames between them can be made.
        """
        self.reader, self._from, self._end, self._loops = reader, start, end, loops
        self._next: Fraction | None = None  # time of the first frame left out
        self._last: Frame | None = None
        self.damage: str | None = None
        self.start = self.end = Fraction(0)
        self.is_whole = end is None and not loops
        self._lost_until: Fraction | None = None  # end of pictures at the end that cannot be decoded

    def frames(self) -> Iterator[Frame]:
        """Read the frames, up to damage if there is any after the first two.

        Raises:
            ValueError: there is damage before that, or no frame from `start` on.
        """
        first, last, longest = None, Fraction(0), Fraction(0)
        for frame in self._known():
            if first is None:
                first = frame
            else:
                longest = max(longest, frame.time - last)
            last = frame.time
            yield frame
        if first is None and self._from is not None:
            lasts = "" if self.reader.duration is None else f"; the input lasts {float(self.reader.duration):.3f} s"
            raise ValueError(f"there is no frame from {float(self._from):.3f} s on{lasts}")
        if self._loops and first is not None:
            yield first._replace(time=self._ends(last, longest), lasts=None, is_after_gap=False)

    def _known(self) -> Iterator[Frame]:
        """Read all frames that are wanted and not damaged, each once."""
        count, last = 0, None
        can_skip = self._from and self.reader.has_places  # the file can be entered in the middle
        try:
            for frame in self.reader.frames(start=self._from) if can_skip else self.reader.frames():
                if self._from is not None and frame.time < self._from:
                    continue
                if self._end is not None and frame.time >= self._end:
                    self._next = frame.time
                    self.damage = self.reader.damage
                    return
                if last is not None and frame.time - last > LONGEST:
                    pause = float(frame.time - last)
                    raise DamagedVideo(
                        f"{frame.source} comes {pause:.0f} s after the one before", count=count, time=last
                    )
                if last is None:
                    self.start = frame.time
                count, last, self._last = count + 1, frame.time, frame
                yield frame
        except ValueError as error:  # a damaged video, or an image that cannot be read
            if count < 2:
                raise
            self.damage = str(error)
            if isinstance(error, DamagedVideo):
                self._lost_until = error.end
            if not isinstance(error, DamagedVideo) or error.breaks_off:
                self.is_whole = False

    @property
    def total(self) -> int | None:
        """The expected number of frames; None if the file does not say."""
        total, rate = self.reader.total, self.reader.rate
        if total and self._end is not None:
            total = min(total, math.ceil(self._end * rate))
        return total and max(0, total - math.ceil((self._from or 0) * rate))

    def until(self, last: Fraction, longest: Fraction) -> Fraction:
        """Return the time at which the last frame ends.

        It is the time that the file gives if that is credible, else one period later. If the last frame is the first
        one again, it ends at once.

        Args:
            last: time of the last frame, in seconds.
            longest: longest time between two frames, in seconds.
        """
        self.end = last if self._loops else self._ends(last, longest)
        return self.end

    def _ends(self, last: Fraction, longest: Fraction) -> Fraction:
        period = lasts = 1 / self.reader.rate
        if self._lost_until is not None and last < self._lost_until <= last + LONGEST:
            lasts = max(period, self._lost_until - last)
        elif self.damage is None or self.is_whole:
            lasts = self._lasts(last, longest) or period
        end = last + lasts if self._next is None else self._next
        return end if self._end is None else min(end, max(self._end, last + min(lasts, longest)))

    def _lasts(self, last: Fraction, longest: Fraction) -> Fraction | None:
        """Return the seconds for which the last frame is shown, by the duration of the file or of the frame.

        The duration of the file is more exact. If the file has other streams, it is used only for a usual time, because
        sound may last longer than the picture. The result is None if neither is usable.
        """
        usual = 2 * longest
        rest = (self.reader.duration or last) - last
        own = self._last.lasts if self._last is not None and self._last.lasts is not None else Fraction(0)
        rest = rest if 0 < rest <= (LONGEST if self.reader.is_duration_own else usual) else Fraction(0)
        own = own if 0 < own <= LONGEST else Fraction(0)
        if own > usual:
            return max(rest, own)
        return rest or own or None
