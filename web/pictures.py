"""The pictures of a result: a loop, pictures to compare, and pictures of the inside of the network."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from utils import atomic_path, tensor_to_image
from video.picture import FAINT, INK, PAPER, flow_to_rgb, font_of_size, with_wheel

from .jobs import Pair

DIMMED = 0.2  # brightness outside of a mask
WIDEST = 960  # pixels of the loop
PAUSE = 400  # milliseconds of a frame of the loop
ACCENT = (31, 95, 168)
LOOP = ("before", "between", "after")
LETTERS = 1 / 30, 14  # size of the names below the loop: a part of its width, and the least number of pixels


def write_loop(pair: Pair, path: Path) -> None:
    """Write an animated WebP that shows before, between, after and between, each with its name."""
    before, between, after = zip(LOOP, (pair.img0, pair.output.frame, pair.img1), strict=True)
    frames = (before, between, after, between)
    first, *others = (_labelled(tensor_to_image(image), name) for name, image in frames)
    with atomic_path(path) as temporary:
        first.save(temporary, save_all=True, append_images=others, duration=PAUSE, loop=0, quality=90, method=2)


def compared(pair: Pair) -> dict[str, np.ndarray]:
    """Return the middle frame and the pictures to compare it with, by their names."""
    pictures = {
        "average of both": (pair.img0 + pair.img1) / 2,
        "first frame": pair.img0,
        "last frame": pair.img1,
        "middle frame": pair.output.frame,
    }
    return {name: tensor_to_image(picture) for name, picture in pictures.items()}


def inside(pair: Pair) -> list[tuple[np.ndarray, str]]:
    """Draw the motion, the merged frame, the changes by the synthesis, and the masks, in the frame's size.

    Returns:
        Pictures (H, W, 3) uint8 with their captions.
    """
    height, width = pair.img0.shape[-2:]
    motion, synthesis = pair.output.motion, pair.output.candidates[0]
    flows = [flow[..., :height, :width] for flow in (motion.flow_t0, motion.flow_t1)]
    fastest = [flow.norm(dim=1).max().item() for flow in flows]
    merged = pair.output.merged[..., :height, :width]
    correction = pair.output.frame - merged
    gain = 0.5 / max(correction.abs().max().item(), 1e-6)
    occlusion = motion.occlusion[..., :height, :width].expand(-1, 3, -1, -1)
    pictures = [
        (with_wheel(flow_to_rgb(flows[0])), f"Flow to the first frame, at most {fastest[0]:.1f} pixels"),
        (with_wheel(flow_to_rgb(flows[1])), f"Flow to the last frame, at most {fastest[1]:.1f} pixels"),
        (tensor_to_image(occlusion), "Occlusion: white comes from the first frame, black from the last"),
        (tensor_to_image(merged), "Merged: both frames moved along the flow and blended"),
        (tensor_to_image(0.5 + gain * correction), f"Changes by the wavelet synthesis, {gain:.0f} times as strong"),
    ]
    for level, mask in enumerate(synthesis.masks, 1):
        lit = mask.repeat_interleave(2**level, -2).repeat_interleave(2**level, -1)[..., :height, :width]
        picture = pair.output.frame * (DIMMED + (1 - DIMMED) * lit)
        caption = f"Mask of level {level}: details are computed where it is light, {mask.mean().item():.0%}"
        pictures.append((tensor_to_image(picture), caption))
    return pictures


def _labelled(image: np.ndarray, name: str) -> Image.Image:
    """Add a strip below a picture with the names of the loop's frames. The name of this frame is underlined."""
    picture = Image.fromarray(image)
    picture.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
    size = max(round(LETTERS[0] * picture.width), LETTERS[1])
    font, gap, strip, top = font_of_size(size), size, 2 * size, picture.height
    widths = [round(font.getlength(other)) for other in LOOP]
    lefts = [sum(widths[:index]) + (index + 1) * gap for index in range(len(LOOP))]
    canvas = Image.new("RGB", (max(picture.width, lefts[-1] + widths[-1] + gap), top + strip), PAPER)
    canvas.paste(picture, (0, 0))
    draw = ImageDraw.Draw(canvas)
    for other, left, width in zip(LOOP, lefts, widths, strict=True):
        draw.text((left, top + size // 3), other, fill=INK if other == name else FAINT, font=font)
        if other == name:
            draw.rectangle((left, top + strip - size // 3, left + width, top + strip - size // 6), fill=ACCENT)
    return canvas
