"""Videos, folders of frames and image pairs: read, interpolate, write, one frame at a time."""

from .images import DEFAULT_RATE, IMAGE_SUFFIXES, Frame, ImageReader, folder_writer, is_image, list_frames
from .pipeline import count_halvings, interpolate_frames, open_writer
from .reader import VideoReader
from .writer import CRF, VideoWriter, is_video, video_writer

__all__ = [
    "CRF",
    "DEFAULT_RATE",
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
