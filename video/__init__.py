"""Videos, folders of frames and image pairs: read, interpolate, write, one frame at a time."""

from .batch import convert_all, describe_all, find_videos, place_outputs
from .capacity import steady_threads
from .codecs import CODECS, is_video
from .convert import convert
from .damage import DamagedVideo
from .facts import DEFAULT_RATE
from .frame import Frame
from .images import ImageReader, is_image, list_frames
from .network import Model, tells_costs
from .options import Options
from .outputs import check_report
from .pipeline import interpolate_frames
from .pipes import is_pipe
from .processes import Group
from .reader import VideoReader
from .summary import Summary, describe
from .timeline import moment, rational
from .workers import Workers

__all__ = [
    "CODECS",
    "DEFAULT_RATE",
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
    "is_image",
    "is_pipe",
    "is_video",
    "list_frames",
    "moment",
    "place_outputs",
    "rational",
    "steady_threads",
    "tells_costs",
]
