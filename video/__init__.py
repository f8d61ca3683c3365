"""Videos, folders of frames and image pairs: read, interpolate, write, one frame at a time."""

from .facts import DEFAULT_RATE
from .frame import Frame
from .images import IMAGE_SUFFIXES, ImageReader, folder_writer, is_image, list_frames
from .pipeline import count_halvings, interpolate_frames, open_writer
from .reader import DamagedVideo, VideoReader
from .writer import CRF, VideoWriter, is_video, video_writer

__all__ = [
    "CRF",
    "DEFAULT_RATE",
    "DamagedVideo",
    "IMAGE_SUFFIXES",
    "Frame",
    "ImageReader",
    "VideoReader",
    "VideoWriter",
    "count_halvings",
    "folder_writer",
    "interpolate_frames",
    "is_image",
    "is_video",
    "list_frames",
    "open_writer",
    "video_writer",
]
