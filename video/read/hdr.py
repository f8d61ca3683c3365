"""Read for which screen a HDR picture was made, in the words of the HEVC encoder."""

import struct
from fractions import Fraction

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

CHROMATICITY, LUMINANCE = 50_000, 10_000  # units a whole, of SMPTE ST 2086 in HEVC


def read_light(frame: VideoFrame) -> str:
    """Return mastering display and light levels of a decoded frame as parameters of x265; "" if it has none."""
    try:
        display = frame.side_data.get(Type.MASTERING_DISPLAY_METADATA)
        levels = frame.side_data.get(Type.CONTENT_LIGHT_LEVEL)
    except ValueError:  # beside them, there is a kind of data that PyAV does not know
        return ""
    parameters = []
    if display is not None and (text := _describe(struct.unpack("=22i", bytes(display)[:88]))):
        parameters.append(f"master-display={text}")
    if levels is not None:
        brightest, average = struct.unpack("=2I", bytes(levels)[:8])
        parameters.append(f"max-cll={min(brightest, 65535)},{min(average, 65535)}")
    return ":".join(parameters)


def _describe(numbers: tuple[int, ...]) -> str:
    """Return the mastering display as x265 takes it; "" if it is not complete or not valid.

    Args:
        numbers: ten fractions (x and y of red, green, blue and white; least and most light), and which of both are
            known.
    """
    *fractions, has_colours, has_light = numbers
    tops, bottoms = fractions[::2], fractions[1::2]
    if not (has_colours and has_light and all(bottoms)):
        return ""
    values = [Fraction(top, bottom) for top, bottom in zip(tops, bottoms, strict=True)]
    places = [round(value * CHROMATICITY) for value in values[:8]]
    least, most = (round(value * LUMINANCE) for value in values[8:])
    if min(*places, least, most) < 0 or max(places) > CHROMATICITY:
        return ""
    red, green, blue, white = (f"({x},{y})" for x, y in zip(places[::2], places[1::2], strict=True))
    return f"G{green}B{blue}R{red}WP{white}L({most},{least})"
