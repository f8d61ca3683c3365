"""Pictures of single frames of a benchmark: inputs, prediction, error, flow and masks."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from datasets import FrameSource
from utils import tensor_to_image

from .methods import Method, Prediction, predict_at
from .scores import Row

WORST = 10  # number of frames
TYPICAL = (0.25, 0.5, 0.75)  # quantiles of PSNR
WIDEST = 560  # pixels of a panel
BRIGHTEST = 64  # grey levels of error that have the lightest colour


class Panel(NamedTuple):
    """A picture in a page.

    heading, caption: the text below it.
    url: the URL with its data.
    width, height: its size in pixels.
    """

    heading: str
    caption: str
    url: str
    width: int
    height: int


class Shown(NamedTuple):
    """A method whose frames are shown.

    method: the method.
    position: the number of the shown row among the method's rows.
    row: the scores of that row.
    """

    method: Method
    position: int
    row: Row


def choose(row: Row) -> tuple[list[str], list[str]]:
    """Return the names of the worst frames, the worst first, and of typical frames."""
    ranked = sorted(row.images, key=lambda name: row.images[name].psnr)
    typical = [ranked[round(quantile * (len(ranked) - 1))] for quantile in TYPICAL]
    return ranked[:WORST], list(dict.fromkeys(typical))


@torch.inference_mode()
def panels(dataset: FrameSource, name: str, shown: Sequence[Shown], device: torch.device) -> list[Panel]:
    """Predict one frame again and draw it.

    For the first method, all is drawn that is known; for the others, the prediction and its error. A method whose
    prediction was not finite is left out.

    Args:
        name: the name of the frame, as in `Row.images`.
    """
    index, position = _locate(dataset.names, name)
    img0, *targets, img1 = (frame[None].to(device).float() / 255 for frame in dataset[index])
    truth = targets[position - 1]
    first, *others = (
        (one, predict_at(one.method, img0, img1, position, len(targets) + 1, one.position))
        for one in shown
        if name in one.row.images
    )
    pictures = [
        _panel("inputs", "both frames, overlaid", tensor_to_image((img0 + img1) / 2)),
        _panel("prediction", "", tensor_to_image(first[1].frame)),
        _panel("truth", "", tensor_to_image(truth)),
        _error("error", first[1].frame, truth),
        *_inside(first[1]),
    ]
    for one, prediction in others:
        scores = one.row.images[name]
        pictures.append(_panel(one.row.name, f"{scores.psnr:.2f} dB", tensor_to_image(prediction.frame)))
        pictures.append(_error(f"error of {one.row.name}", prediction.frame, truth))
    return pictures


def _error(heading: str, frame: Tensor, truth: Tensor) -> Panel:
    error = 255 * (frame - truth).abs().mean(1)[0]
    return _panel(heading, f"mean {error.mean():.1f} grey levels, white from {BRIGHTEST}", _heat(error / BRIGHTEST))


def _inside(prediction: Prediction) -> list[Panel]:
    """Draw flow and masks, cropped to the frame, if the method returns them."""
    details = prediction.details
    if details is None:
        return []
    from torchvision.utils import flow_to_image

    height, width = prediction.frame.shape[-2:]
    flow = details.motion.flow_t0[0, :, :height, :width].float().cpu()
    fastest = flow.norm(dim=0).max().item()
    masks = [
        F.interpolate(mask, scale_factor=2**level)[0, 0] for level, mask in enumerate(details.candidates[0].masks, 1)
    ]
    nested = (sum(masks) / len(masks))[:height, :width]
    active = ", ".join(f"{mask.mean():.0%}" for mask in masks)
    return [
        _panel(
            "flow to input 0",
            f"hue: direction, strength: speed, at most {fastest:.1f} pixels; white: none",
            flow_to_image(flow).permute(1, 2, 0).numpy(),
        ),
        _panel(
            "masks",
            f"white: finest details computed; levels 1 to 3: {active}",
            tensor_to_image(nested.expand(3, -1, -1)),
        ),
    ]


def _locate(names: list[str], name: str) -> tuple[int, int]:
    """Return the number of the sample and the position of the frame in it, where 1 is the first after img0."""
    if name in names:
        return names.index(name), 1
    sample, _, place = name.rpartition(" ")
    return names.index(sample), int(place.partition("/")[0])


def _heat(values: Tensor) -> np.ndarray:
    """Colour a map (H, W), where 0 is black and 1 is white: (H, W, 3) uint8."""
    colours = matplotlib.colormaps["inferno"](values.clamp(0, 1).cpu().numpy())
    return (255 * colours[..., :3]).round().astype(np.uint8)


def _panel(heading: str, caption: str, image: np.ndarray) -> Panel:
    """Return a panel with the picture (H, W, 3) uint8, scaled to at most WIDEST pixels."""
    picture, data = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((WIDEST, 4 * WIDEST))
    picture.save(data, "WEBP", quality=82)
    url = f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"
    return Panel(heading, caption, url, *picture.size)
