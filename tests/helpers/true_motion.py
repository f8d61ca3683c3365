"""The true motion of made-up triplets, by the formulas of their scenes."""

from typing import NamedTuple

import torch
from torch import Tensor

from datasets import MovingShapes, scenes
from datasets.scenes import Layer, pixel_centres


class TrueMotion(NamedTuple):
    """The output of a perfect MP-Net.

    flow_t0: (2, H, W) the flow to img0 of the layer in front at each pixel of imgt, (dx, dy) in pixels.
    flow_t1: (2, H, W) the same to img1.
    seen_in_0: (1, H, W) bool, True if the flow ends on the same layer, inside img0.
    seen_in_1: (1, H, W) bool, the same for img1.
    """

    flow_t0: Tensor
    flow_t1: Tensor
    seen_in_0: Tensor
    seen_in_1: Tensor


def true_motion(shapes: MovingShapes, index: int) -> TrueMotion:
    """Return the true flows from imgt to img0 and img1, and the pixels that are visible in each of the two."""
    layers, here = shapes.layers(index), pixel_centres(shapes.size)
    front = find_front(layers, here, 0.5)
    last = torch.tensor([shapes.size[1] - 1, shapes.size[0] - 1]).view(2, 1, 1)
    flows, seen = [], []
    for time in (0.0, 1.0):
        places = torch.stack([moved(layer, here, time) for layer in layers])  # (layers, 2, H, W)
        there = places.gather(0, front.expand(1, 2, -1, -1))[0]
        inside = ((there >= 0) & (there <= last)).all(0)
        flows.append(there - here)
        seen.append((inside & (find_front(layers, there, time) == front))[None])
    return TrueMotion(*flows, *seen)


def find_front(layers: list[Layer], positions: Tensor, time: float) -> Tensor:
    """Return (H, W): the number of the front layer at each position (2, H, W)."""
    front = torch.zeros(positions.shape[1:], dtype=torch.long)
    for number, layer in enumerate(layers):
        inside = layer.distance(scenes._local(layer, positions, torch.tensor([time])))[0, 0] < 0
        front[inside] = number
    return front


def moved(layer: Layer, positions: Tensor, time: float) -> Tensor:
    """Return (2, H, W): the positions at another time of the layer's points that are at `positions` in imgt."""
    (spread,) = scenes._spread(layer, torch.tensor([time]))
    centre = layer.centre[:, None, None]
    there = torch.einsum("ij,jhw->ihw", spread, positions - centre) + centre
    return there + (time - 0.5) * layer.motion[:, None, None]
