"""What made-up scenes consist of: outlines and textures as functions of continuous positions, drawn at random."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Layer(NamedTuple):
    """One thing that moves; the background is one too.

    distance: (..., 2, H, W) positions from its centre -> (..., 1, H, W) distance to its outline, negative inside.
    texture: the same positions -> (..., 3, H, W) colour in [0, 1]. centre: (2,) its place in imgt, (x, y) in pixels.
    motion: (2,) from img0 to img1, (dx, dy) in pixels, half of it by the middle. turn: from img0 to img1, in radians.
    growth: how many times as large it is in img1 as in img0; in imgt it is as its outline and texture say.
    """

    distance: Callable[[Tensor], Tensor]
    texture: Callable[[Tensor], Tensor]
    centre: Tensor
    motion: Tensor
    turn: float = 0.0
    growth: float = 1.0


def random_scene(
    draw: "Draw",
    size: tuple[int, int],
    longest: float,
    textures: "Sequence[Texture] | None" = None,
    *,
    twist: bool = False,
) -> list[Layer]:
    """A background and two to five shapes, from the back to the front.

    Args:
        size: height and width of the frames, in pixels.
        longest: way from img0 to img1, in pixels; the background moves at most half as far.
        textures: to draw from, the first for the background; default: blotches there, stripes and gradients too.
        twist: layers also turn and grow; that moves their outlines by a fifth of `longest` at most, each.
    """
    height, width = size
    # Blotches look alike nowhere: what the background does can be seen in every direction.
    textures = textures or (_noise, _stripes, _gradient)
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2])
    layers = [Layer(everywhere, textures[0](draw, max(size) / 2 + longest), middle, draw.vector(longest / 2))]
    radii = [max(size) / 2]
    for _ in range(draw.integer(2, 5)):
        radius = draw.uniform(0.12, 0.3) * min(size)
        centre = torch.tensor([draw.uniform(0, width - 1), draw.uniform(0, height - 1)])
        outline = draw.choose([disc, rectangle, polygon])(draw, radius)
        texture = draw.choose(textures)(draw, radius)
        layers.append(Layer(outline, texture, centre, draw.vector(longest)))
        radii.append(radius)
    if twist:
        layers = [_twisted(draw, layer, longest / 5 / radius) for layer, radius in zip(layers, radii, strict=True)]
    return layers


def _twisted(draw: "Draw", layer: Layer, most: float) -> Layer:
    """A layer that turns by up to `most` radians and grows by up to a factor 1 + `most`; at most a half, both."""
    most = min(most, 0.5)
    growth = (1 + most) ** draw.uniform(-1, 1)
    return layer._replace(turn=draw.uniform(-most, most), growth=growth)


def paint_layers(layers: list[Layer], positions: Tensor, times: Tensor) -> Tensor:
    """Paint the layers over each other.

    Args:
        positions: (2, H, W), (x, y) in pixels.
        times: (T,), 0 is img0 and 1 is img1.
    Returns:
        (T, 3, H, W) in [0, 1].
    """
    frames = torch.zeros(len(times), 3, *positions.shape[1:])
    for layer in layers:
        local = _local(layer, positions, times)
        # A pixel is covered as far as the outline, nearly straight at this scale, has swept over it.
        size = layer.growth ** (times - 0.5)
        coverage = (0.5 - layer.distance(local) * size[:, None, None, None]).clamp(0, 1)
        box = (..., *_box(coverage[:, 0].amax(0) > 0))
        frames[box] = frames[box].lerp(layer.texture(local[box]), coverage[box])
    return frames


def _box(inside: Tensor) -> tuple[slice, slice]:
    """The rows and columns of (H, W) bool with anything inside."""
    rows, columns = (inside.any(axis).nonzero().flatten() for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def find_front(layers: list[Layer], positions: Tensor, time: float) -> Tensor:
    """(H, W): the number of the layer in front at each position (2, H, W)."""
    front = torch.zeros(positions.shape[1:], dtype=torch.long)
    for number, layer in enumerate(layers):
        inside = layer.distance(_local(layer, positions, torch.tensor([time])))[0, 0] < 0
        front[inside] = number
    return front


def _local(layer: Layer, positions: Tensor, times: Tensor) -> Tensor:
    """(T, 2, H, W): where positions lie, as seen from the layer's centre, turned and scaled as in imgt."""
    centres = layer.centre + (times[:, None] - 0.5) * layer.motion  # (T, 2)
    local = positions - centres[:, :, None, None]
    if layer.turn == 0 and layer.growth == 1:
        return local
    return torch.einsum("tij,tjhw->tihw", torch.linalg.inv(_spread(layer, times)), local)


def _spread(layer: Layer, times: Tensor) -> Tensor:
    """(T, 2, 2): what turns and scales positions around the layer's centre from imgt to the times."""
    angles, size = layer.turn * (times - 0.5), layer.growth ** (times - 0.5)
    rows = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], dim=-1)
    return rows.view(-1, 2, 2) * size[:, None, None]


def moved(layer: Layer, positions: Tensor, time: float) -> Tensor:
    """(2, H, W): where what the layer has at `positions` (2, H, W) in imgt is at another time."""
    (spread,) = _spread(layer, torch.tensor([time]))
    centre = layer.centre[:, None, None]
    there = torch.einsum("ij,jhw->ihw", spread, positions - centre) + centre
    return there + (time - 0.5) * layer.motion[:, None, None]


def pixel_centres(size: tuple[int, int]) -> Tensor:
    """(2, H, W): (x, y) of every pixel's centre."""
    ys, xs = (torch.arange(n, dtype=torch.float32) for n in size)
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"))


class Draw:
    """The random numbers of one scene."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def tensor(self, *shape: int) -> Tensor:
        """Uniform in [0, 1)."""
        return torch.rand(shape, generator=self.generator)

    def uniform(self, low: float, high: float) -> float:
        """From low to high."""
        return low + (high - low) * self.tensor(1).item()

    def integer(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(torch.randint(low, high + 1, (1,), generator=self.generator))

    def choose(self, options: Sequence[Callable]) -> Callable:
        """One of them."""
        return options[self.integer(0, len(options) - 1)]

    def vector(self, longest: float) -> Tensor:
        """(2,): any direction, any length up to `longest`."""
        length, angle = self.uniform(0, longest), self.uniform(0, 2 * math.pi)
        return torch.tensor([length * math.cos(angle), length * math.sin(angle)])


Texture = Callable[[Draw, float], Callable[[Tensor], Tensor]]  # of a shape of this radius


def everywhere(local: Tensor) -> Tensor:
    """The outline of a layer that covers all. Outlines: (..., 2, H, W) positions -> (..., 1, H, W) pixels outside."""
    return torch.full_like(local[..., :1, :, :], -math.inf)


def disc(draw: Draw, radius: float) -> Callable[[Tensor], Tensor]:
    """The outline of a disc; radius in pixels."""
    return lambda local: local.norm(dim=-3, keepdim=True) - radius


def rectangle(draw: Draw, radius: float) -> Callable[[Tensor], Tensor]:
    """The outline of a turned rectangle, its longer half-side `radius` pixels."""
    turn, flatness = draw.uniform(0, math.pi), draw.uniform(0.4, 1)
    return _sides([turn + k * math.pi / 2 for k in range(4)], [radius, radius * flatness] * 2)


def polygon(draw: Draw, radius: float) -> Callable[[Tensor], Tensor]:
    """The outline of a convex polygon of three to six sides."""
    corners, turn = draw.integer(3, 6), draw.uniform(0, 2 * math.pi)
    angles = [turn + 2 * math.pi * (k + draw.uniform(-0.2, 0.2)) / corners for k in range(corners)]
    return _sides(angles, [radius * draw.uniform(0.6, 1) for _ in angles])


def _sides(angles: list[float], distances: list[float]) -> Callable[[Tensor], Tensor]:
    """The convex outline whose sides face `angles`, each so many pixels from the centre."""
    normals = torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles])  # (sides, 2)
    offsets = torch.tensor(distances).view(-1, 1, 1)
    return lambda local: (torch.einsum("sc,...chw->...shw", normals, local) - offsets).amax(-3, keepdim=True)


def _noise(draw: Draw, extent: float) -> Callable[[Tensor], Tensor]:
    """Blotches in two sizes around one colour; the finer stay above two pixels, so that they survive any fraction."""
    cell = draw.uniform(2.5, 5)  # pixels between lattice points
    cells = 2 * math.ceil(extent / cell)
    tint, coarse, fine = (draw.tensor(1, 3, points, points) for points in (1, cells // 4 + 2, cells + 1))
    coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=True)
    lattice = 0.4 * tint + 0.3 * coarse + 0.3 * fine

    def colour(local: Tensor) -> Tensor:
        grid = local.movedim(-3, -1) / (cell * cells / 2)  # the lattice is mirrored beyond its ends
        table = lattice.expand(len(local), -1, -1, -1)
        return F.grid_sample(table, grid, padding_mode="reflection", align_corners=True)

    return colour


def picture(draw: Draw, frame: Tensor) -> Callable[[Tensor], Tensor]:
    """A part of a real frame (3, H, W) in [0, 1], up to twice as large, about a place drawn from it; mirrored beyond
    its borders."""
    height, width = frame.shape[-2:]
    half = torch.tensor([width / 2, height / 2])
    place, zoom = draw.tensor(2) * 1.6 - 0.8, draw.uniform(1, 2)

    def colour(local: Tensor) -> Tensor:
        grid = local.movedim(-3, -1) / (zoom * half) + place
        table = frame.expand(len(local), -1, -1, -1)
        # Bilinear sampling would blur the three frames by different amounts.
        return F.grid_sample(table, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)

    return colour


def _stripes(draw: Draw, extent: float) -> Callable[[Tensor], Tensor]:
    """Two colours in turn, with soft edges; wide enough to tell one stripe from the next after the usual motion."""
    wave, turn = draw.uniform(16, 32), draw.uniform(0, math.pi)
    direction = torch.tensor([math.cos(turn), math.sin(turn)]) * 2 * math.pi / wave
    return _two_colours(draw, lambda phase: (phase.sin() * wave / 8).clamp(-1, 1) / 2 + 0.5, direction)


def _gradient(draw: Draw, extent: float) -> Callable[[Tensor], Tensor]:
    """From one colour to another across the shape, over a faint ripple that shows motion."""
    turn = draw.uniform(0, 2 * math.pi)
    direction = torch.tensor([math.cos(turn), math.sin(turn)]) / extent
    ripple = 2 * math.pi * extent / draw.uniform(5, 10)
    return _two_colours(draw, lambda way: (0.5 + 0.4 * way).clamp(0.1, 0.9) + 0.1 * (ripple * way).sin(), direction)


def _two_colours(draw: Draw, share: Callable[[Tensor], Tensor], direction: Tensor) -> Callable[[Tensor], Tensor]:
    """Mix two colours by `share` in [0, 1] of the position along `direction`."""
    first, second = draw.tensor(2, 3, 1, 1)

    def colour(local: Tensor) -> Tensor:
        along = (local * direction.view(2, 1, 1)).sum(-3, keepdim=True)
        return torch.lerp(first, second, share(along))

    return colour
