"""Videos, folders of frames and image pairs: read, interpolate, write, one frame at a time."""

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
from .reader import VideoReader
from .summary import Summary, describe
from .timeline import rational

__all__ = [
    "CODECS",
    "DEFAULT_RATE",
    "DamagedVideo",
    "Frame",
    "ImageReader",
    "Model",
    "Options",
    "Summary",
    "VideoReader",
    "check_report",
    "convert",
    "describe",
    "interpolate_frames",
    "is_image",
    "is_pipe",
    "is_video",
    "list_frames",
    "rational",
    "tells_costs",
]
