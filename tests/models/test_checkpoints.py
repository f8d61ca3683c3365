"""The shipped weights are the ones the table describes, and they interpolate."""

import hashlib
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from benchmark.metrics import psnr
from models import default_checkpoint, waveletvfi
from models.layers import backward_warp

FOLDER = Path(__file__).parents[2] / "checkpoints"
FILES = sorted(FOLDER.glob("waveletvfi_*.pth"))


def moving_texture(t: float, dx: float, dy: float, seed: int) -> torch.Tensor:
    """A smooth random texture that moves by (dx, dy) pixels per unit of time, behind a disc that moves left."""
    height, width, margin = 128, 192, 32
    generator = torch.Generator().manual_seed(seed)
    grid = torch.randn(1, 3, (height + 2 * margin) // 8, (width + 2 * margin) // 8, generator=generator)
    texture = F.interpolate(grid, scale_factor=8, mode="bicubic", align_corners=False) * 0.15 + 0.5
    shift = torch.tensor([-dx * t, -dy * t]).view(1, 2, 1, 1).expand(1, 2, *texture.shape[-2:])
    texture = backward_warp(texture, shift)[..., margin:-margin, margin:-margin]
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    disc = torch.sigmoid(24 - ((x - 120 + 5 * t) ** 2 + (y - 64) ** 2).sqrt())
    return (texture * (1 - disc) + disc * torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1)).clamp(0, 1)


def waves(height: int, width: int, dx: float, dy: float) -> torch.Tensor:
    """Nearly periodic waves (3, H, W) with periods of 13 to 38 pixels, moved by (dx, dy) pixels."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return torch.stack([torch.sin((x - dx) / (4 + c)) * torch.cos((y - dy) / (5 - c)) for c in range(3)]) * 0.3 + 0.5


def moving_waves(t: float) -> torch.Tensor:
    """Waves that move by (6, 3) pixels per unit of time, behind a disc that moves left."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    disc = torch.sigmoid(24 - ((x - 80 + 5 * t) ** 2 + (y - 48) ** 2).sqrt())
    background = waves(96, 128, 6 * t, 3 * t)
    return (background * (1 - disc) + disc * torch.tensor([0.9, 0.2, 0.1]).view(3, 1, 1))[None].clamp(0, 1)


def test_weights_are_shipped():
    assert FILES
    assert default_checkpoint().is_file()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_table_has_the_file_with_its_checksum(file):
    (row,) = re.findall(rf"^\| `{re.escape(file.name)}` .*$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert hashlib.sha256(file.read_bytes()).hexdigest() in row


@pytest.mark.parametrize(("dx", "dy"), [(6, 3), (-6, 3), (12, -6), (4, -8)])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_known_motion_is_followed_much_better_than_by_averaging(file, dx, dy):
    for seed in range(2):
        img0, imgt, img1 = (moving_texture(t, dx, dy, seed) for t in (0.0, 0.5, 1.0))
        frame = waveletvfi(file).interpolate(img0, img1)
        assert float(psnr(frame, imgt)) > float(psnr((img0 + img1) / 2, imgt)) + 3


@pytest.mark.parametrize("size", [(96, 128), (192, 192), (256, 448)])
@pytest.mark.parametrize(("dx", "dy"), [(6, 3), (-6, -3), (3, -6), (-7, 0)])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_pattern_that_repeats_is_not_taken_for_another_place_of_it(file, dx, dy, size):
    """On small frames of a pass, the pattern is as fine as the pixels and shows wrong motions."""
    img0, imgt, img1 = (waves(*size, dx * t, dy * t)[None] for t in (-0.5, 0.0, 0.5))
    assert float(psnr(waveletvfi(file).interpolate(img0, img1), imgt)) > 40


def textured(height: int, width: int, shift: tuple[int, int], seed: int) -> torch.Tensor:
    """Details of several sizes, (1, 3, H, W), moved as a whole by (dx, dy) pixels, at most 32."""
    generator, margin = torch.Generator().manual_seed(seed), 40
    size, texture = (height + 2 * margin, width + 2 * margin), torch.zeros(1, 3, 1, 1)
    for cell, share in ((4, 0.15), (8, 0.25), (32, 0.3), (96, 0.3)):
        grid = torch.rand(1, 3, size[0] // cell + 4, size[1] // cell + 4, generator=generator)
        texture = texture + share * F.interpolate(grid, size=size, mode="bicubic").clamp(0, 1)
    x, y = margin - shift[0], margin - shift[1]
    return texture[..., y : y + height, x : x + width]


@pytest.mark.parametrize(("dx", "dy"), [(8, -4), (-12, 10), (24, 4)])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_whole_frames_that_move_far_are_found(file, dx, dy):
    """From -(dx, dy) to (dx, dy): up to 48 pixels from frame to frame. Away from the border, at least 35 dB."""
    img0, imgt, img1 = (textured(256, 448, shift, seed=3) for shift in ((-dx, -dy), (0, 0), (dx, dy)))
    inside = (..., slice(56, -56), slice(56, -56))
    assert float(psnr(waveletvfi(file).interpolate(img0, img1)[inside], imgt[inside])) > 35


def turned(height: int, width: int, degrees: float, zoom: float = 1.0) -> torch.Tensor:
    """A random texture, turned about the middle of the frame and magnified."""
    margin = 120
    whole = textured(height + 2 * margin, width + 2 * margin, (0, 0), seed=3)
    angle = math.radians(degrees)
    y, x = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in (height, width)), indexing="ij")
    places = [x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)]
    grid = torch.stack([place * 2 / zoom / (n - 1) for place, n in zip(places, whole.shape[:1:-1], strict=True)], -1)
    return F.grid_sample(whole, grid[None], mode="bicubic", align_corners=True).clamp(0, 1)


@pytest.mark.parametrize(("height", "width", "degrees"), [(256, 448, 10), (720, 1280, 5), (720, 1280, 10)])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_frame_that_turns_is_found_as_a_straight_motion(file, height, width, degrees):
    """Two frames do not tell that points run on circles. Straight ways have a smaller middle."""
    img0, img1 = (turned(height, width, side * degrees / 2) for side in (-1, 1))
    imgt = turned(height, width, 0, zoom=math.cos(math.radians(degrees / 2)))
    inside = (..., slice(height // 5, -height // 5), slice(width // 8, -width // 8))
    assert float(psnr(waveletvfi(file).interpolate(img0, img1, ratio=0.0)[inside], imgt[inside])) > 40


@pytest.mark.parametrize("t", [1 / 8, 1 / 4, 3 / 8, 5 / 8, 3 / 4, 7 / 8])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_moving_texture_is_where_it_should_be_at_any_time(file, t):
    model = waveletvfi(file)
    img0, imgt, img1 = (moving_texture(time, 6, 3, 1) for time in (0.0, t, 1.0))
    frame = model.interpolate(img0, img1, t=t)
    assert float(psnr(frame, imgt)) > float(psnr((1 - t) * img0 + t * img1, imgt)) + 5
    other = {time: float(psnr(frame, moving_texture(time, 6, 3, 1))) for time in (t - 1 / 8, t, t + 1 / 8)}
    assert max(other, key=lambda time: other[time]) == t


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_swapped_frames_at_the_time_from_the_other_end_give_nearly_the_same(file):
    model = waveletvfi(file)
    img0, img1 = (moving_texture(time, 6, 3, 1) for time in (0.0, 1.0))
    for t in (0.25, 0.5):
        there, back = model.interpolate(img0, img1, t=t), model.interpolate(img1, img0, t=1 - t)
        assert float(psnr(there, back)) > 38


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_towards_its_ends_the_frame_becomes_the_frame_there(file):
    model = waveletvfi(file)
    img0, img1 = (moving_texture(time, 6, 3, 1) for time in (0.0, 1.0))
    for end, times in ((img0, (1 / 4, 1 / 16, 1 / 64)), (img1, (3 / 4, 15 / 16, 63 / 64))):
        found = [float(psnr(model.interpolate(img0, img1, t=t), end)) for t in times]
        assert found == sorted(found) and found[-1] > 45


@pytest.mark.parametrize("budget", [0.5, 0.8])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_budget_is_used(file, budget):
    """At least half of it: the levels share it out as is usual for trained weights."""
    img0, img1 = (textured(256, 448, shift, seed=3) for shift in ((-8, 4), (8, -4)))
    cost = waveletvfi(file).interpolate_details(img0, img1, budget=budget).candidates[0].cost
    assert budget / 2 < float(cost) <= budget


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_moving_waves_are_followed_much_better_than_by_averaging(file):
    img0, imgt, img1 = (moving_waves(t) for t in (0.0, 0.5, 1.0))
    frame = waveletvfi(file).interpolate(img0, img1)
    assert float(psnr(frame, imgt)) > float(psnr((img0 + img1) / 2, imgt)) + 3
