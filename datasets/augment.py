"""The augmentation for training: the paper's, and exposure. A triplet's three frames change alike."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torchvision.transforms.v2.functional as transforms
from torch import Tensor

STOPS = 0.8  # an exposure is brighter or darker by at most this power of two
GAMMA = 0.5  # the gamma of an exposure is at most this power of two, or 1 divided by it
WINDOWS = 4  # places that are compared to find the one with the most motion


class Chances(NamedTuple):
    """The probability of each change. The defaults are the paper's.

    upscale: enlarging by 2 or by 4 (half each, bilinear) before cropping.
    reverse_channels: turning RGB into BGR.
    vertical_flip, horizontal_flip: exchanging top and bottom, or left and right.
    transpose: exchanging rows and columns.
    reverse_time: exchanging img0 and img1.
    exposure: another brightness and gamma.
    where_it_moves: choosing, from four windows, the one in which the outer frames differ most.
    """

    upscale: float = 0.3
    reverse_channels: float = 0.5
    vertical_flip: float = 0.3
    horizontal_flip: float = 0.5
    transpose: float = 0.05
    reverse_time: float = 0.5
    exposure: float = 0.0
    where_it_moves: float = 0.0


class Changes(NamedTuple):
    """The changes of one triplet.

    factor: the frames are enlarged by this factor: 1, 2 or 4.
    places: ((down, right), ...) in [0, 1): the places of the window to choose from. Of several, the one is chosen in
        which the outer frames differ most.
    reverse_channels: True turns RGB into BGR.
    vertical_flip: True exchanges top and bottom.
    horizontal_flip: True exchanges left and right.
    transpose: True exchanges rows and columns.
    reverse_time: True exchanges img0 and img1.
    exposure: brightness in stops (powers of two) and gamma, or None.
    """

    factor: int
    places: tuple[tuple[float, float], ...]
    reverse_channels: bool
    vertical_flip: bool
    horizontal_flip: bool
    transpose: bool
    reverse_time: bool
    exposure: tuple[float, float] | None


class TrainingAugmentation:
    """A random change of triplets: upscale, crop, reverse channels, flip, transpose, reverse time, change exposure.

    Each part happens with its own probability. The result depends on the frames and the generator's state alone: every
    call draws the same amount of random numbers.
    """

    def __init__(self, crop: int = 256, **chances: float) -> None:
        """Set the size and the probabilities.

        Args:
            crop: height and width of the result, in pixels.
            chances: the fields of `Chances` that differ from the paper's.
        Raises:
            ValueError: `crop` is not positive, or a probability lies outside [0, 1].
        """
        if crop < 1:
            raise ValueError(f"the crop must be at least 1 pixel, got {crop}")
        self.crop, self.probabilities = crop, Chances(**chances)._asdict()
        for name, probability in self.probabilities.items():
            if not 0 <= probability <= 1:
                raise ValueError(f"{name} is a probability and must be between 0 and 1, got {probability}")

    def __call__(self, triplet: Sequence[Tensor], generator: torch.Generator) -> Tensor:
        """Change a triplet at random.

        Args:
            triplet: img0, imgt, img1, each (3, H, W) uint8.
            generator: the source of random numbers. It advances by the same amount at every call.
        Returns:
            (3 frames, 3, crop, crop) uint8, contiguous, in the order of time (reversed or not).
        Raises:
            ValueError: the frame, after enlarging, is smaller than the crop.
        """
        return self.apply(triplet, self.draw(generator))

    def draw(self, generator: torch.Generator) -> Changes:
        """Draw the changes of one triplet."""
        names = [name for name in self.probabilities if name != "where_it_moves"]
        chances = torch.rand(len(names), generator=generator).tolist()
        happens = {name: u < self.probabilities[name] for u, name in zip(chances, names, strict=True)}
        doubling, down, right, stops, gamma = torch.rand(5, generator=generator).tolist()
        chooses, *others = torch.rand(2 * WINDOWS - 1, generator=generator).tolist()
        places = [(down, right)]
        if chooses < self.probabilities["where_it_moves"]:
            places += zip(others[::2], others[1::2], strict=True)
        exposure = (STOPS * (2 * stops - 1), 2 ** (GAMMA * (2 * gamma - 1))) if happens.pop("exposure") else None
        factor = (2 if doubling < 0.5 else 4) if happens.pop("upscale") else 1
        return Changes(factor, tuple(places), exposure=exposure, **happens)

    def apply(self, triplet: Sequence[Tensor], changes: Changes) -> Tensor:
        """Apply the changes that `draw` returned. The result and the errors are those of a call."""
        img0, _, img1 = frames = torch.stack(tuple(triplet))
        factor = changes.factor
        height, width = (size * factor for size in frames.shape[-2:])
        if min(height, width) < self.crop:
            raise ValueError(
                f"a crop of {self.crop}x{self.crop} does not fit into a frame of {height}x{width} "
                f"(upscaled by {factor}); give a smaller crop or larger frames"
            )
        windows = [
            (int(down * (height - self.crop + 1)), int(right * (width - self.crop + 1)))
            for down, right in changes.places
        ]
        if len(windows) > 1:
            windows.sort(key=lambda corner: _difference(img0, img1, factor, *corner, self.crop), reverse=True)
        frames = crop_upscaled(frames, factor, *windows[0], self.crop)
        if changes.reverse_channels:
            frames = transforms.permute_channels(frames, [2, 1, 0])
        if changes.vertical_flip:
            frames = transforms.vertical_flip(frames)
        if changes.horizontal_flip:
            frames = transforms.horizontal_flip(frames)
        if changes.transpose:
            frames = frames.transpose(-2, -1)
        if changes.reverse_time:
            frames = frames.flip(0)
        if changes.exposure:
            frames = expose(frames, *changes.exposure)
        return frames.contiguous()


def _difference(img0: Tensor, img1: Tensor, factor: int, top: int, left: int, crop: int) -> float:
    """Return the sum of absolute differences of two frames in a window of the enlarged frames, every fourth pixel."""
    box = (..., *(slice(start // factor, (start + crop) // factor, 4) for start in (top, left)))
    return (img0[box].int() - img1[box].int()).abs().sum().item()


def expose(frames: Tensor, stops: float, gamma: float) -> Tensor:
    """Raise frames (uint8, white is 1) to the power of `gamma`, multiply them by 2^stops, and clip them."""
    levels = torch.arange(256) / 255
    table = (levels**gamma * 2**stops).clamp(0, 1) * 255
    return table.round().byte()[frames.long()]


def crop_upscaled(frames: Tensor, factor: int, top: int, left: int, crop: int) -> Tensor:
    """Enlarge frames by `factor` and crop a window of `crop` x `crop` pixels. Nothing outside the window is enlarged.

    Args:
        frames: (..., 3, H, W) uint8.
        factor: a whole number; 1 does not enlarge.
        top, left: position of the window in the enlarged frame, whose size is factor * H x factor * W.
    Returns:
        (..., 3, crop, crop) uint8. If `factor` is 1, this is a view.
    """
    if factor == 1:
        return transforms.crop(frames, top, left, crop, crop)
    # A pixel between two source pixels needs both. Therefore the window reaches one pixel further than the crop. At the
    # edge of the frame there is no further pixel, and the edge repeats as it does in the enlarged frame.
    y0, x0 = (max(start // factor - 1, 0) for start in (top, left))
    y1, x1 = (min((start + crop - 1) // factor + 2, n) for start, n in zip((top, left), frames.shape[-2:], strict=True))
    size = [(y1 - y0) * factor, (x1 - x0) * factor]
    window = transforms.resize(frames[..., y0:y1, x0:x1], size, antialias=False)
    return transforms.crop(window, top - y0 * factor, left - x0 * factor, crop, crop)
