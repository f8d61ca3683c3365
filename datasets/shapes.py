"""Made-up triplets: textured shapes move over a textured background."""

import math
from typing import Any

import torch

from .loading import mix_seeds
from .scenes import Draw, Layer, Painter, Texture, paint_layers, picture, pixel_centres, random_scene
from .triplets import Triplet, TripletSource

SPLITS = ("train", "test")


class MovingShapes(TripletSource):
    """Discs, rectangles and polygons that move evenly along straight lines, each at its own speed, and hide each other.

    `dataset[i]` is a `Triplet` that depends on (seed, split, i) alone. Its name is such as "train/000012". Outlines are
    anti-aliased and textures are functions of continuous positions, so motion by a fraction of a pixel is exact.
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
        """Set the options. Triplets are drawn when they are read.

        Args:
            length: number of triplets.
            split: "train" or "test". The two have no triplet in common.
            size: height and width in pixels.
            motion: the longest motion from img0 to img1, in pixels. The background moves at most half as far.
            twist: layers turn and grow, too.
            seed: the seed of all triplets.
        Raises:
            ValueError: another split, no triplets, frames smaller than 16x16 pixels, or a negative motion.
        """
        if split not in SPLITS:
            raise ValueError(f'split must be "train" or "test", got {split!r}')
        if length < 1 or min(size) < 16:
            height, width = size
            raise ValueError(f"at least 1 triplet of at least 16x16 pixels is needed, got {length} of {height}x{width}")
        if not 0 <= motion < math.inf:
            raise ValueError(f"the largest motion must be 0 or more pixels, got {motion}")
        self.size, self.motion, self.twist, self.seed, self.split = size, motion, twist, seed, split
        self.painters: list[Painter] | None = None  # those of `random_scene`
        self.names = [f"{split}/{index:06d}" for index in range(length)]

    def __getitem__(self, index: int) -> Triplet:
        """Draw one triplet, (3, H, W) uint8 each."""
        return self.moment(index, 0.5)[0]

    def moment(self, index: int, time: float) -> tuple[Triplet, float]:
        """Return a triplet whose inner frame is at `time` in [0, 1], and `time` itself."""
        frames = paint_layers(self.layers(index), pixel_centres(self.size), torch.tensor([0.0, time, 1.0]))
        return Triplet(*(frames * 255).round().byte()), time

    def layers(self, index: int) -> list[Layer]:
        """Return the layers of a triplet, from the back to the front.

        Raises:
            IndexError: `index` is past the end.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"no triplet {index}: there are {len(self)}")
        draw = Draw(mix_seeds(self.seed, SPLITS.index(self.split), index))
        return random_scene(draw, self.size, self.motion, self.painters, twist=self.twist)


class MovingCutouts(MovingShapes):
    """The scenes of `MovingShapes` with cut-outs of real frames as textures.

    `dataset[i]` depends on (seed, split, i), and on `frames`, the triplets whose middle frames are cut.
    """

    def __init__(self, frames: TripletSource, length: int, split: str = "train", **options: Any) -> None:
        """Set the options.

        Args:
            frames: the triplets to cut.
            length, split, options: as for `MovingShapes`. By default, frames are 256x256, and the longest motion is 48.
        """
        super().__init__(length, split, **{"size": (256, 256), "motion": 48.0} | options)
        self.frames, self.painters = frames, [self._cut]

    def _cut(self, draw: Draw, radius: float) -> Texture:
        return picture(draw, self.frames[draw.integer(0, len(self.frames) - 1)].imgt / 255)
