"""Image files, for tests."""

from pathlib import Path

import numpy as np

from video.read import images


def read_picture(path: Path) -> np.ndarray:
    """The colours of an image file, (H, W, 3) uint8, or uint16 for more than 8 bits."""
    image, _ = images.read_picture(path)
    return image
