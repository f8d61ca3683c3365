"""TIFF files of any kind of samples, as Pillow does not write them."""

import struct
from pathlib import Path

import numpy as np

KINDS = {"u": 1, "i": 2, "f": 3}  # by NumPy's letter
SHORT, LONG = 3, 4


def write_tiff(
    path: Path, pixels: np.ndarray, *, orientation: int = 1, order: str = "<", kind: int | None = None
) -> Path:
    """Write (H, W) or (H, W, C), uncompressed. order: "<" or ">". kind: of samples; default: that of the array."""
    height, width, channels = (*pixels.shape, 1)[:3]
    data = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(order))).tobytes()
    sample = KINDS[pixels.dtype.kind]
    tags = [
        (256, LONG, [width]), (257, LONG, [height]), (258, SHORT, [8 * pixels.itemsize] * channels), (259, SHORT, [1]),
        (262, SHORT, [1 if channels < 3 else 2]), (273, LONG, [0]), (274, SHORT, [orientation]),
        (277, SHORT, [channels]), (278, LONG, [height]), (279, LONG, [len(data)]), (339, SHORT, [sample] * channels),
    ]  # fmt: skip
    if channels in (2, 4):
        tags.insert(-1, (338, SHORT, [2]))  # alpha
    more, after = b"", 8 + 2 + 12 * len(tags) + 4
    entries = []
    for tag, form, values in tags:
        content = struct.pack(f"{order}{len(values)}{'H' if form == SHORT else 'I'}", *values)
        if len(content) > 4:
            content, more = struct.pack(f"{order}I", after + len(more)), more + content
        entries.append((tag, form, len(values), content.ljust(4, b"\0")))
    body = b""
    for tag, form, count, content in entries:
        content = struct.pack(f"{order}I", after + len(more)) if tag == 273 else content
        body += struct.pack(f"{order}HHI", tag, form, count) + content
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    path.write_bytes(head + body + bytes(4) + more + data)
    return path
