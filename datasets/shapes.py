"""Made-up triplets: textured shapes gliding over a textured background, with the true motion known."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .scenes import Draw, Layer, find_front, moved, paint_layers, picture, pixel_centres, random_scene
from .training import mix_seeds
from .triplets import Triplet, TripletSource

SPLITS = ("train", "test")


class TrueMotion(NamedTuple):
    """The output of a perfect MP-Net.

    flow_t0, flow_t1: (2, H, W), (dx, dy) in pixels, of what is in front at each pixel of imgt.
    seen_in_0, seen_in_1: (1, H, W) bool, whether the flow ends on the same layer, inside that frame.
    """

    flow_t0: Tensor
    flow_t1: Tensor
    seen_in_0: Tensor
    seen_in_1: Tensor


class MovingShapes(TripletSource):
    """Discs, rectangles and polygons that move straight and evenly, each at its own speed, and hide each other.

    `dataset[i]` is a `Triplet`, a function of (seed, split, i) alone; `dataset.names[i]` is "train/000012". Outlines
    are anti-aliased, textures are functions of continuous coordinates: motion by fractions of a pixel is exact.
    """

    def __init__(
        self,
        length: int,
        split: str = "train",
        *,
        size: tuple[int, int] = (96, 96),
        motion: float = 8.0,
        twist: bool = False,
        seed: int = 0,
    ) -> None:
        """Nothing is drawn yet.

        Args:
            length: how many triplets.
            split: "train" or "test"; the two have no triplet in common.
            size: height and width in pixels.
            motion: largest way from img0 to img1, in pixels; the background moves at most half as far.
            twist: layers turn and grow as well.
            seed: another seed, other triplets.
        Raises:
            ValueError: another split, no triplets, frames under 16 pixels, or a negative motion.
        """
        if split not in SPLITS:
            raise ValueError(f'split must be "train" or "test", got {split!r}')
        if length < 1 or min(size) < 16:
            height, width = size
            raise ValueError(f"at least 1 triplet of at least 16x16 pixels is needed, got {length} of {height}x{width}")
        if not 0 <= motion < math.inf:
            raise ValueError(f"the largest motion must be 0 or more pixels, got {motion}")
        self.size, self.motion, self.twist, self.seed, self.split = size, motion, twist, seed, split
        self.names = [f"{split}/{index:06d}" for index in range(length)]

    def __getitem__(self, index: int) -> Triplet:
        """(3, H, W) uint8 each."""
        return self.moment(index, 0.5)[0]

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet whose inner frame is at `time`, in [0, 1], and that time."""
        frames = paint_layers(self.layers(index), pixel_centres(self.size), torch.tensor([0.0, time, 1.0]))
        return Triplet(*(frames * 255).round().byte()), time

    def layers(self, index: int) -> list[Layer]:
        """Return the scene, from the background to what is in front of everything.

        Raises:
            IndexError: past the end.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"no triplet {index}: there are {len(self)}")
        return self.scene(Draw(mix_seeds(self.seed, SPLITS.index(self.split), index)))

    def scene(self, draw: Draw) -> list[Layer]:
        """Return the layers that these random numbers make, from the back to the front."""
        return random_scene(draw, self.size, self.motion, twist=self.twist)

    def true_motion(self, index: int) -> TrueMotion:
        """Return the flows that bring img0 and img1 onto imgt, and the pixels in which they can be trusted."""
        layers, here = self.layers(index), pixel_centres(self.size)
        front = find_front(layers, here, 0.5)
        last = torch.tensor([self.size[1] - 1, self.size[0] - 1]).view(2, 1, 1)
        flows, seen = [], []
        for time in (0.0, 1.0):
            places = torch.stack([moved(layer, here, time) for layer in layers])  # (layers, 2, H, W)
            there = places.gather(0, front.expand(1, 2, -1, -1))[0]
            inside = ((there >= 0) & (there <= last)).all(0)
            flows.append(there - here)
            seen.append((inside & (find_front(layers, there, time) == front))[None])
        return TrueMotion(*flows, *seen)


class MovingCutouts(MovingShapes):
    """The same scenes in the colours of real frames: cut-outs of some glide over another, and hide each other.

    `dataset[i]` is a function of (seed, split, i) and of `frames`, the triplets whose middle frames are cut up.
    """

    def __init__(
        self,
        frames: TripletSource,
        length: int,
        split: str = "train",
        *,
        size: tuple[int, int] = (256, 256),
        motion: float = 48.0,
        twist: bool = False,
        seed: int = 0,
    ) -> None:
        """As `MovingShapes`."""
        super().__init__(length, split, size=size, motion=motion, twist=twist, seed=seed)
        self.frames = frames

    def scene(self, draw: Draw) -> list[Layer]:
        return random_scene(draw, self.size, self.motion, [self._cut], twist=self.twist)

    def _cut(self, draw: Draw, radius: float) -> Callable[[Tensor], Tensor]:
        return picture(draw, self.frames[draw.integer(0, len(self.frames) - 1)].imgt / 255)
