"""Known weights and frames, and the figures the released network computes from them (`data/reference_values.json`).

Every weight depends on its official name alone, so an implementation gets the same ones whatever its order of layers.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parents[1] / "data"

#: (name fragment, gain of the weight, mean of the bias); the first match wins.
GAINS = [
    ("decoder4.conv6", 2.0, 0.0),
    ("conv6", 1.0, 0.0),
    ("classifier.5", 40.0, 0.0),
    ("conv4_l", 0.6, 0.5),
    ("conv4_h", 0.009, 0.0),
    ("conv3_h", 0.012, 0.0),
    ("conv2_h", 0.018, 0.0),
    ("conv1_h", 0.020, 0.0),
]


def official_shapes() -> dict[str, list[int]]:
    """{official name: shape} of the released state dict, wavelet filters included."""
    return json.loads((DATA / "official_state_dict.json").read_text())


def reference_cases() -> list[dict]:
    """The reference figures, one dict per pair of frames."""
    return json.loads((DATA / "reference_values.json").read_text())["cases"]


def known_state_dict() -> dict[str, Tensor]:
    """The official names with known values; the wavelet filter buffers are left out."""
    return {n: known_tensor(n, s) for n, s in official_shapes().items() if n.endswith(("weight", "bias"))}


def known_tensor(name: str, shape: list[int]) -> Tensor:
    """The known value of one parameter."""
    gain, mean = next(((g, m) for key, g, m in GAINS if key in name), (1.0, 0.0))
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("weight"):
        fan_in = shape[0] * 4 if "conv6" in name else int(np.prod(shape[1:]))
        value = noise * gain * np.sqrt(2.0 / fan_in)
    else:
        value = noise * (0.0003 if "_h." in name else 0.01) + mean
    return torch.from_numpy(value).float()


def images(batch: int, height: int, width: int, seed: int = 0) -> list[Tensor]:
    """(img0, imgt, img1), each (batch, 3, height, width) in [0, 1]: a smooth pattern with edges that moves."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    frames = []
    for t in (0.0, 0.5, 1.0):
        out = np.empty((batch, 3, height, width))
        for b in range(batch):
            dx, dy = (3.0 + 2 * b + seed) * t, (1.5 - b) * t
            for c in range(3):
                u, v = x - dx, y - dy
                wave = 0.5 + 0.25 * np.sin(u / (7.0 + 3 * c) + b) * np.cos(v / (11.0 - 2 * c))
                disc = ((u - width / 2) ** 2 + (v - height / 2) ** 2) < (min(height, width) / (3.0 + b)) ** 2
                stripe = (np.floor((u + 2 * v) / 9.0) % 2) * (x > 0.6 * width)
                out[b, c] = np.clip(wave + 0.2 * disc - 0.15 * stripe * (c + 1) / 3, 0, 1)
        frames.append(torch.from_numpy(out).float())
    return frames


def frames(batch=1, height=48, width=64):
    """Two random frames, (2, B, 3, H, W)."""
    return torch.rand(2, batch, 3, height, width)
