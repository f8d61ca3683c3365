"""Draw the inputs and results of the network for a pair of frames as one labelled picture."""

import importlib.util
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from models import Interpolation
from utils import tensor_to_image

PANEL = 640  # width of one panel in pixels
MARGIN = 20
INK, FAINT, PAPER, EDGE = (24, 24, 28), (88, 88, 96), (255, 255, 255), (176, 176, 184)
TITLE_SIZE, CAPTION_SIZE = 26, 20
LEADING = 1.3  # from one line of text to the next, in sizes of the font
TYPEFACE = "mpl-data/fonts/ttf/DejaVuSans.ttf"  # in Matplotlib, whose drawings stand beside these pictures


def explain(img0: torch.Tensor, img1: torch.Tensor, output: Interpolation, *, title: str) -> Image.Image:
    """Draw input pair, their average, middle frame, flow and mask in two rows of three panels with captions.

    Args:
        img0, img1: (1, 3, H, W) RGB in [0, 1].
        output: result of `model.interpolate_details(img0, img1)`; flow and mask are cropped to (H, W).
        title: one line over the picture.
    """
    height, width = img0.shape[-2:]
    flow = output.motion.flow_t0[..., :height, :width]
    mask = output.candidates[0].masks[0]
    active, cost = mask.mean().item(), output.candidates[0].cost.mean().item()
    mask = mask.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :height, :width].expand(-1, 3, -1, -1)
    fastest = flow.norm(dim=1).max().item()
    panels = [
        (tensor_to_image(img0), "Input 0", "t = 0"),
        (tensor_to_image(output.frame), "Middle frame", "t = 1/2, made by the network"),
        (tensor_to_image(img1), "Input 1", "t = 1"),
        (tensor_to_image((img0 + img1) / 2), "Average of the inputs", "what moves is seen twice"),
        (
            with_wheel(flow_to_rgb(flow)),
            "Flow to input 0",
            f"hue: direction as on the wheel, strength: speed, at most {fastest:.1f} pixels",
        ),
        (
            tensor_to_image(mask),
            "Finest mask",
            f"white: details computed, {active:.0%} of positions; cost {cost:.0%} of dense synthesis",
        ),
    ]
    return _compose(panels, title)


def flow_to_rgb(flow: torch.Tensor) -> np.ndarray:
    """Paint a flow, (1, 2, H, W) in pixels, in Middlebury's colours: strongest where it is largest.

    Returns:
        (H, W, 3) uint8.
    """
    from torchvision.utils import flow_to_image

    return flow_to_image(flow.float().cpu())[0].permute(1, 2, 0).numpy()


def with_wheel(image: np.ndarray, size: int = 64) -> np.ndarray:
    """Add the colours of all directions as a small disc in the lower right corner."""
    height, width = image.shape[:2]
    size = min(size, height // 2, width // 2) // 2 * 2
    if size < 16:
        return image
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    disc = (x.square() + y.square()).sqrt() <= 1
    wheel = flow_to_rgb(torch.stack([x, y])[None] * disc)
    corner = image[height - size - 8 : height - 8, width - size - 8 : width - 8]
    image = image.copy()
    image[height - size - 8 : height - 8, width - size - 8 : width - 8] = np.where(disc[..., None], wheel, corner)
    return image


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text into lines of at most `width` pixels. Only a word that is longer than a line is broken itself."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if font.getlength(joined) <= width:
            lines[-1] = joined
            continue
        lines += [""] if lines[-1] else []
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def font_of_size(size: int) -> ImageFont.FreeTypeFont:
    """Return Matplotlib's typeface if Matplotlib is installed (it is not imported), else Pillow's own."""
    found = importlib.util.find_spec("matplotlib")
    path = Path(found.origin).parent / TYPEFACE if found and found.origin else None
    if path is not None and path.is_file():
        return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size=size)


def _compose(panels: list[tuple[np.ndarray, str, str]], title: str) -> Image.Image:
    """Put panels (image, name, caption) into rows of three under a title."""
    height, width = panels[0][0].shape[:2]
    panel_height = max(round(height * PANEL / width), 1)
    large, small = font_of_size(TITLE_SIZE), font_of_size(CAPTION_SIZE)
    columns = 3 * PANEL + 2 * MARGIN
    titles = wrapped(title, large, columns)
    texts = [(wrapped(name, large, PANEL), wrapped(caption, small, PANEL)) for _, name, caption in panels]
    label = max(_high(names, TITLE_SIZE) + _high(captions, CAPTION_SIZE) for names, captions in texts) + MARGIN // 2
    head = _high(titles, TITLE_SIZE) + 2 * MARGIN
    rows = -(-len(panels) // 3)
    canvas = Image.new("RGB", (columns + 2 * MARGIN, head + rows * (panel_height + label + MARGIN)), PAPER)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (MARGIN, MARGIN), titles, INK, large)
    for index, ((image, name, _), (names, captions)) in enumerate(zip(panels, texts, strict=True)):
        left = MARGIN + index % 3 * (PANEL + MARGIN)
        top = head + index // 3 * (panel_height + label + MARGIN)
        filter_ = Image.Resampling.NEAREST if name == "Finest mask" else Image.Resampling.LANCZOS
        canvas.paste(Image.fromarray(image).resize((PANEL, panel_height), filter_), (left, top))
        draw.rectangle((left, top, left + PANEL - 1, top + panel_height - 1), outline=EDGE)
        below = _write(draw, (left, top + panel_height + MARGIN // 2), names, INK, large)
        _write(draw, (left, below), captions, FAINT, small)
    return canvas


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    lines: list[str],
    ink: tuple[int, int, int],
    font: ImageFont.FreeTypeFont,
) -> int:
    """Write lines from `place` (left, top) on; return where the next one begins."""
    left, top = place
    for line in lines:
        draw.text((left, top), line, fill=ink, font=font)
        top += _high([line], round(font.size))
    return top


def _high(lines: list[str], size: int) -> int:
    """Return the height of lines of text, in pixels."""
    return len(lines) * round(LEADING * size)
