"""Made-up scenes: random outlines and textures, as functions of continuous positions."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

WOVEN = 192  # pixels; in smaller frames, weaves are hard to follow and teach little, as few passes see them
MOST = 0.4  # of its period, that a periodic texture moves from img0 to img1; from 0.5 on, the way back is shorter


class Layer(NamedTuple):
    """A moving object, or the moving background.

    distance: maps positions (..., 2, H, W) from the centre to (..., 1, H, W), the distance to the outline in pixels,
        negative inside.
    texture: maps the same positions to (..., 3, H, W), the colour in [0, 1].
    centre: (2,) the position in imgt, (x, y) in pixels.
    motion: (2,) the motion from img0 to img1, (dx, dy) in pixels. Half of it has happened in imgt.
    turn: the turn from img0 to img1, in radians.
    growth: the size in img1 divided by the size in img0. In imgt, `distance` and `texture` give the size.
    """

    distance: Callable[[Tensor], Tensor]
    texture: Callable[[Tensor], Tensor]
    centre: Tensor
    motion: Tensor
    turn: float = 0.0
    growth: float = 1.0


class Texture(NamedTuple):
    """What a layer is painted with.

    colour: maps positions (..., 2, H, W) from the centre, in pixels, to (..., 3, H, W) in [0, 1]. See `Layer.texture`.
    period: the shortest way, in pixels, after which the texture looks the same. A motion of more than half a period
        cannot be told from a shorter one.
    """

    colour: Callable[[Tensor], Tensor]
    period: float = math.inf


Painter = Callable[["Draw", float], Texture]  # (random numbers, radius in pixels) -> the texture of a layer


def random_scene(
    draw: "Draw",
    size: tuple[int, int],
    longest: float,
    painters: Sequence[Painter] | None = None,
    *,
    twist: bool = False,
) -> list[Layer]:
    """Draw a scene: a background and two to five shapes, from the back to the front.

    Args:
        size: height and width of the frames, in pixels.
        longest: the longest motion from img0 to img1, in pixels. The background moves at most half as far, and a layer
            of a periodic texture at most `MOST` of its period.
        painters: the textures to choose from. The background has the first one. Default: blotches, stripes, gradients,
            and weaves in frames of at least `WOVEN` pixels, whose background has blotches or a weave.
        twist: also turn and grow the layers. Each of the two moves outlines by at most a fifth of `longest`.
    """
    height, width = size
    weaves = (_weave,) if painters is None and min(size) >= WOVEN else ()
    painters = painters or (_noise, *weaves, _stripes, _gradient)
    backgrounds = painters[: 1 + len(weaves)]  # their motion can be seen in every direction; that of stripes cannot
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2])
    background = draw.choose(backgrounds) if len(backgrounds) > 1 else backgrounds[0]
    texture = background(draw, max(size) / 2 + longest)
    layers = [Layer(everywhere, texture.colour, middle, draw.vector(min(longest / 2, MOST * texture.period)))]
    radii = [max(size) / 2]
    for _ in range(draw.integer(2, 5)):
        radius = draw.uniform(0.12, 0.3) * min(size)
        centre = torch.tensor([draw.uniform(0, width - 1), draw.uniform(0, height - 1)])
        outline = draw.choose([disc, rectangle, polygon])(draw, radius)
        texture = draw.choose(painters)(draw, radius)
        layers.append(Layer(outline, texture.colour, centre, draw.vector(min(longest, MOST * texture.period))))
        radii.append(radius)
    if twist:
        layers = [_twisted(draw, layer, longest / 5 / radius) for layer, radius in zip(layers, radii, strict=True)]
    return layers


def _twisted(draw: "Draw", layer: Layer, most: float) -> Layer:
    """Let a layer turn by up to `most` radians and grow by up to a factor of 1 + `most`. `most` is limited to 1/2."""
    most = min(most, 0.5)
    growth = (1 + most) ** draw.uniform(-1, 1)
    return layer._replace(turn=draw.uniform(-most, most), growth=growth)


def paint_layers(layers: list[Layer], positions: Tensor, times: Tensor) -> Tensor:
    """Paint the layers over each other, the first one at the back.

    Args:
        positions: (2, H, W), (x, y) in pixels.
        times: (T,), where 0 is img0 and 1 is img1.
    Returns:
        (T, 3, H, W) in [0, 1].
    """
    frames = torch.zeros(len(times), 3, *positions.shape[1:])
    for layer in layers:
        local = _local(layer, positions, times)
        # The outline is nearly straight within a pixel, so the covered part of the pixel follows from the distance.
        size = layer.growth ** (times - 0.5)
        coverage = (0.5 - layer.distance(local) * size[:, None, None, None]).clamp(0, 1)
        box = (..., *_box(coverage[:, 0].amax(0) > 0))
        frames[box] = frames[box].lerp(layer.texture(local[box]), coverage[box])
    return frames


def _box(inside: Tensor) -> tuple[slice, slice]:
    """Return the range of rows and of columns in which (H, W) bool has any True."""
    rows, columns = (inside.any(axis).nonzero().flatten() for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _local(layer: Layer, positions: Tensor, times: Tensor) -> Tensor:
    """Return positions (2, H, W) relative to the layer's centre, turned and scaled as in imgt: (T, 2, H, W)."""
    centres = layer.centre + (times[:, None] - 0.5) * layer.motion  # (T, 2)
    local = positions - centres[:, :, None, None]
    if layer.turn == 0 and layer.growth == 1:
        return local
    return torch.einsum("tij,tjhw->tihw", torch.linalg.inv(_spread(layer, times)), local)


def _spread(layer: Layer, times: Tensor) -> Tensor:
    """Return (T, 2, 2): the matrices that turn and scale positions around the centre, from imgt to each time."""
    angles, size = layer.turn * (times - 0.5), layer.growth ** (times - 0.5)
    rows = torch.stack([angles.cos(), -angles.sin(), angles.sin(), angles.cos()], dim=-1)
    return rows.view(-1, 2, 2) * size[:, None, None]


def pixel_centres(size: tuple[int, int]) -> Tensor:
    """Return (2, H, W): (x, y) of every pixel's centre."""
    ys, xs = (torch.arange(n, dtype=torch.float32) for n in size)
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"))


class Draw:
    """The random numbers of one scene."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def tensor(self, *shape: int) -> Tensor:
        """Draw a tensor from the uniform distribution in [0, 1)."""
        return torch.rand(shape, generator=self.generator)

    def uniform(self, low: float, high: float) -> float:
        """Draw a number between `low` and `high`."""
        return low + (high - low) * self.tensor(1).item()

    def integer(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high`, both included."""
        return int(torch.randint(low, high + 1, (1,), generator=self.generator))

    def choose(self, options: Sequence[Callable]) -> Callable:
        """Draw one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def vector(self, longest: float) -> Tensor:
        """Draw a vector (2,) of any direction and any length up to `longest`."""
        length, angle = self.uniform(0, longest), self.uniform(0, 2 * math.pi)
        return torch.tensor([length * math.cos(angle), length * math.sin(angle)])


def everywhere(local: Tensor) -> Tensor:
    """Return the distance to the outline of a layer that covers everything. See `Layer.distance` for the shapes."""
    return torch.full_like(local[..., :1, :, :], -math.inf)


def disc(draw: Draw, radius: float) -> Callable[[Tensor], Tensor]:
    """Return the outline of a disc, `radius` in pixels."""
    return lambda local: local.norm(dim=-3, keepdim=True) - radius


def rectangle(draw: Draw, radius: float) -> Callable[[Tensor], Tensor]:
    """Return the outline of a turned rectangle. Half of its longer side is `radius` pixels."""
    turn, flatness = draw.uniform(0, math.pi), draw.uniform(0.4, 1)
    return _sides([turn + k * math.pi / 2 for k in range(4)], [radius, radius * flatness] * 2)


def polygon(draw: Draw, radius: float) -> Callable[[Tensor], Tensor]:
    """Return the outline of a convex polygon of three to six sides."""
    corners, turn = draw.integer(3, 6), draw.uniform(0, 2 * math.pi)
    angles = [turn + 2 * math.pi * (k + draw.uniform(-0.2, 0.2)) / corners for k in range(corners)]
    return _sides(angles, [radius * draw.uniform(0.6, 1) for _ in angles])


def _sides(angles: list[float], distances: list[float]) -> Callable[[Tensor], Tensor]:
    """Return the convex outline whose sides face `angles`, at these distances from the centre in pixels."""
    normals = torch.tensor([[math.cos(angle), math.sin(angle)] for angle in angles])  # (sides, 2)
    offsets = torch.tensor(distances).view(-1, 1, 1)
    return lambda local: (torch.einsum("sc,...chw->...shw", normals, local) - offsets).amax(-3, keepdim=True)


def _noise(draw: Draw, extent: float) -> Texture:
    """Return blotches of two sizes around one colour.

    The smaller ones are larger than two pixels, so that motion by a fraction of a pixel does not blur them away.
    """
    cell = draw.uniform(2.5, 5)  # pixels between lattice points
    cells = 2 * math.ceil(extent / cell)
    tint, coarse, fine = (draw.tensor(1, 3, points, points) for points in (1, cells // 4 + 2, cells + 1))
    coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=True)
    lattice = 0.4 * tint + 0.3 * coarse + 0.3 * fine

    def colour(local: Tensor) -> Tensor:
        grid = local.movedim(-3, -1) / (cell * cells / 2)  # beyond its ends, the lattice is mirrored
        table = lattice.expand(len(local), -1, -1, -1)
        return F.grid_sample(table, grid, padding_mode="reflection", align_corners=True)

    return Texture(colour)


def picture(draw: Draw, frame: Tensor) -> Texture:
    """Return a part of a real frame (3, H, W) in [0, 1] as a texture, at a random place and enlarged by up to 2.

    Beyond its borders, the frame is mirrored.
    """
    height, width = frame.shape[-2:]
    half = torch.tensor([width / 2, height / 2])
    place, zoom = draw.tensor(2) * 1.6 - 0.8, draw.uniform(1, 2)

    def colour(local: Tensor) -> Tensor:
        grid = local.movedim(-3, -1) / (zoom * half) + place
        table = frame.expand(len(local), -1, -1, -1)
        # Bilinear sampling would blur the three frames by different amounts.
        return F.grid_sample(table, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(0, 1)

    return Texture(colour)


def _weave(draw: Draw, extent: float) -> Texture:
    """Return a pattern that repeats in two directions, like a fence or a facade: a product of two waves per channel.

    The channels have the same waves or slightly different ones.
    """
    turn, spread = draw.uniform(0, math.pi), draw.uniform(0, 0.5)
    waves = torch.tensor([10 * 4 ** draw.uniform(0, 1) for _ in range(2)])  # pixels
    axes = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    steps = 2 * math.pi / (waves * (1 + spread * (draw.tensor(3, 2) - 0.5)))  # radians per pixel
    phases, colours = 2 * math.pi * draw.tensor(3, 2, 1, 1), draw.tensor(2, 3, 1, 1)
    # Edges are at least as soft as those of stripes.
    sharpness = draw.uniform(1, max(1.0, waves.amin().item() / 8))

    def colour(local: Tensor) -> Tensor:
        along = torch.einsum("ac,...chw->...ahw", axes, local).unsqueeze(-4)  # (..., 1, axis, H, W)
        product = (along * steps[:, :, None, None] + phases).sin().prod(-3)  # (..., channel, H, W)
        return torch.lerp(colours[0], colours[1], (sharpness * product).clamp(-1, 1) / 2 + 0.5)

    # Half a wave along both axes changes the sign twice.
    return Texture(colour, min(waves.amin().item(), waves.norm().item() / 2))


def _stripes(draw: Draw, extent: float) -> Texture:
    """Return stripes of two colours with soft edges."""
    wave, turn = draw.uniform(16, 32), draw.uniform(0, math.pi)
    direction = torch.tensor([math.cos(turn), math.sin(turn)]) * 2 * math.pi / wave
    return Texture(_two_colours(draw, lambda phase: (phase.sin() * wave / 8).clamp(-1, 1) / 2 + 0.5, direction), wave)


def _gradient(draw: Draw, extent: float) -> Texture:
    """Return a gradient between two colours across the shape, with a faint ripple that shows motion."""
    turn = draw.uniform(0, 2 * math.pi)
    direction = torch.tensor([math.cos(turn), math.sin(turn)]) / extent
    ripple = 2 * math.pi * extent / draw.uniform(5, 10)
    return Texture(
        _two_colours(draw, lambda way: (0.5 + 0.4 * way).clamp(0.1, 0.9) + 0.1 * (ripple * way).sin(), direction)
    )


def _two_colours(draw: Draw, share: Callable[[Tensor], Tensor], direction: Tensor) -> Callable[[Tensor], Tensor]:
    """Mix two colours: `share` in [0, 1] is a function of the position along `direction`."""
    first, second = draw.tensor(2, 3, 1, 1)

    def colour(local: Tensor) -> Tensor:
        along = (local * direction.view(2, 1, 1)).sum(-3, keepdim=True)
        return torch.lerp(first, second, share(along))

    return colour
