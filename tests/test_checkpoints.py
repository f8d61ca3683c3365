"""The shipped weights are the ones the table describes, and they interpolate."""

import hashlib
import re
from pathlib import Path

import pytest
import torch

from benchmark.metrics import psnr
from models import default_checkpoint, waveletvfi

FOLDER = Path(__file__).parent.parent / "checkpoints"
FILES = sorted(FOLDER.glob("waveletvfi_*.pth"))


def moving_texture(t: float) -> torch.Tensor:
    """A smooth texture that moves 6 pixels to the right and 3 down per unit of time, behind a disc that moves left."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    u, v = x - 6 * t, y - 3 * t
    texture = torch.stack([torch.sin(u / (4 + c)) * torch.cos(v / (5 - c)) for c in range(3)]) * 0.3 + 0.5
    disc = torch.sigmoid(24 - ((x - 80 + 5 * t) ** 2 + (y - 48) ** 2).sqrt())
    return (texture * (1 - disc) + disc * torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1))[None].clamp(0, 1)


def test_weights_are_shipped():
    assert FILES
    assert default_checkpoint().is_file()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_table_has_the_file_with_its_checksum(file):
    (row,) = re.findall(rf"^\| `{re.escape(file.name)}` .*$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert hashlib.sha256(file.read_bytes()).hexdigest() in row


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_known_motion_is_followed_much_better_than_by_averaging(file):
    img0, imgt, img1 = (moving_texture(t) for t in (0.0, 0.5, 1.0))
    frame = waveletvfi(file).interpolate(img0, img1)
    assert float(psnr(frame, imgt)) > float(psnr((img0 + img1) / 2, imgt)) + 3
