"""Interpolate videos, folders of frames and image pairs: read, schedule, render and write one frame at a time.

Begin with `convert.py`, which shows the whole way from an input to an output. Four folders have one task each:

- `read/` decodes files to frames.
- `schedule/` finds cuts, and decides at which times the output has frames.
- `render/` runs the network between two frames.
- `write/` encodes the result, and copies sound and subtitles.

`frame.py` defines a frame.
"""

from .batch import convert_all, describe_all, find_videos, place_outputs
from .convert import Summary, convert, describe
from .frame import Frame
from .making import Group
from .options import Options, check_report
from .read.damage import DamagedVideo
from .read.images import ImageReader
from .read.pipes import is_pipe
from .read.reader import VideoReader
from .render.network import Model, tells_costs
from .render.pipeline import interpolate_frames
from .render.threads import steady_threads
from .render.workers import Workers
from .schedule.timeline import moment, rational
from .write.codecs import CODECS

__all__ = [
    "CODECS",
    "DamagedVideo",
    "Frame",
    "Group",
    "ImageReader",
    "Model",
    "Options",
    "Summary",
    "VideoReader",
    "Workers",
    "check_report",
    "convert",
    "convert_all",
    "describe",
    "describe_all",
    "find_videos",
    "interpolate_frames",
    "is_pipe",
    "moment",
    "place_outputs",
    "rational",
    "steady_threads",
    "tells_costs",
]
