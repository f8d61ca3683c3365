"""Read animated WebP, and give the frames of WebP, GIF and APNG the times at which browsers show them.

Pillow reads WebP, because FFmpeg does not read animated ones. `reader.py` reads GIF and APNG.
"""

import contextlib
import io
import os
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from PIL import Image

from ..frame import Frame
from .damage import DamagedVideo, in_words
from .images import UNREADABLE
from .probe import MILLISECOND

MOVING = {"gif", "apng"}  # FFmpeg's names of their containers
SHORT = Fraction(1, 100)  # seconds; browsers take this time, or a shorter one, for a mistake
USUAL = Fraction(1, 10)  # seconds for which browsers show such a frame instead

HEAD, DURATION = 8, 12  # bytes of a chunk's head; place of the duration in a frame's chunk
FRAME = b"ANMF"  # name of a frame's chunk
FLAGS, ALPHA = 20, 0x10  # place of the flags of an animated file, and the flag for alpha


class WebpReader:
    """A reader of an animated WebP. Frames last as long as browsers show them. Attributes: see `VideoReader`."""

    colour = None
    aspect = None
    light = ""
    damage = None
    bits, pixel_format = 8, "rgb24"
    is_duration_own = has_places = True

    def __init__(self, path: str | os.PathLike, *, keeps_alpha: bool = False):
        """Open an animated WebP, see `is_animated_webp`. With `keeps_alpha`, read alpha, too, if there is any.

        Raises:
            ValueError: the first frame cannot be decoded.
        """
        self.path = Path(path)
        self.has_alpha = keeps_alpha and bool(self.path.read_bytes()[FLAGS] & ALPHA)
        self.paths = [self.path]
        self._shown = [shown_for(seconds) for seconds in durations(self.path.read_bytes())]
        self.rate, self.unit = 1 / Counter(self._shown).most_common(1)[0][0], MILLISECOND
        self.total, self.duration = len(self._shown), sum(self._shown, Fraction(0))
        self.size = next(self.frames()).image.shape[:2]

    def frames(self, *, start: Fraction | None = None) -> Iterator[Frame]:
        """Read the frames, or those at or after `start` seconds.

        Raises:
            DamagedVideo: the file ends too early or is damaged. The message says after which frame.
        """
        count, time, last = 0, Fraction(0), None
        content, missing = whole_chunks(self.path.read_bytes())
        try:
            with Image.open(io.BytesIO(content)) as image:
                for number, lasts in enumerate(self._shown):
                    image.seek(number)
                    pixels = np.asarray(image.convert("RGBA" if self.has_alpha else "RGB"))
                    if start is None or time >= start:
                        alpha = pixels[..., 3] if self.has_alpha else None
                        name = f"{self.path} frame {number + 1}"
                        yield Frame(pixels[..., :3], time, name, lasts=lasts, alpha=alpha)
                        count, last = count + 1, time
                    time += lasts
            reason = in_words(missing)
        except (EOFError, *UNREADABLE) as error:
            reason = str(error)
        if reason:
            message = f"{self.path} is truncated or corrupt after frame {count}: {reason}"
            raise DamagedVideo(message, count=count, time=last)

    def close(self) -> None:
        """Do nothing: no file is held open between frames."""


def is_animated_webp(path: Path) -> bool:
    """Return True if a file is a WebP with more than one frame."""
    return len(durations(path.read_bytes())) > 1


def durations(content: bytes) -> list[Fraction]:
    """Return the duration of each frame of an animated WebP in seconds; an empty list for another file.

    A frame that is cut off does not count.
    """
    found = []
    for kind, begin, end in _chunks(content):
        if kind == FRAME and end <= len(content):
            found.append(int.from_bytes(content[begin + DURATION : begin + DURATION + 3], "little") * MILLISECOND)
    return found


def whole_chunks(content: bytes) -> tuple[bytes, int]:
    """Return a WebP without its last chunk if that is cut off, and the number of missing bytes."""
    declared = HEAD + int.from_bytes(content[4:HEAD], "little")
    missing = declared - len(content)
    if missing <= 0:
        return content, 0
    end = max((end for _, _, end in _chunks(content) if end <= len(content)), default=len(content))
    return content[:4] + (end - HEAD).to_bytes(4, "little") + content[HEAD:end], missing


def shown_for(seconds: Fraction) -> Fraction:
    """Return the seconds for which a browser shows a frame that should last `seconds`."""
    return USUAL if seconds <= SHORT else seconds


class Delays:
    """A clock that moves the packets of a GIF or APNG to the times at which browsers show them.

    Packets of other files are left as they are.
    """

    def __init__(self, container: InputContainer):
        self._is_moving = container.format.name in MOVING
        self._late = 0

    def correct(self, packet: Packet) -> None:
        """Set time and duration of the next packet."""
        if not self._is_moving or packet.pts is None:
            return
        duration = packet.duration or 0
        lasts = round(shown_for(duration * packet.time_base) / packet.time_base)
        packet.pts += self._late
        packet.dts = packet.pts
        packet.duration = lasts
        self._late += lasts - duration


def find_delays(container: InputContainer, rate: Fraction) -> tuple[Fraction, Fraction, int] | None:
    """Read a GIF or APNG to its end, and find the times at which browsers show it.

    Returns:
        Frames per second, duration in seconds, and number of frames; None for other files. The rate is `rate` unless
        browsers show frames more slowly than the file says.
    """
    if container.format.name not in MOVING:
        return None
    said = []
    with contextlib.suppress(av.FFmpegError):  # damage is found when the frames are read
        for packet in container.demux(video=0):
            said += [(packet.duration or 0) * packet.time_base] if packet.size else []
    shown = [shown_for(seconds) for seconds in said]
    if said != shown:
        rate = 1 / Counter(shown).most_common(1)[0][0]
    return rate, sum(shown, Fraction(0)), len(shown)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of every chunk, and the places at which its content begins and ends."""
    place = HEAD + 4 if content[:4] == b"RIFF" and content[HEAD : HEAD + 4] == b"WEBP" else len(content)
    while place + HEAD <= len(content):
        size = int.from_bytes(content[place + 4 : place + HEAD], "little")
        begin, end = place + HEAD, place + HEAD + size + size % 2
        yield content[place : place + 4], begin, end
        place = end
