"""Draw the pictures of the shipped weights again. It needs an environment with the clone's requirements.

    python docs/pictures.py animation        # docs/bird.webp, at the top of the README
    python docs/pictures.py validation VAL   # checkpoints/validation.jpg; VAL as for benchmark/Vimeo90K.py --data_root

The animation is a clip in slow motion: on the left its own frames, on the right the network's frames between them.

The validation picture has ten triplets, from the worst to the best. A row has the truth, the network's frame with its
error, and the average of the two frames with its error, errors five times as strong.
"""

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parent.parent))

from datasets import open_mixture
from datasets.clips import EXAMPLE
from models import waveletvfi
from models.losses import psnr
from utils import image_to_tensor, tensor_to_image
from video import VideoReader
from video.picture import font_of_size

ROOT = Path(__file__).parent.parent
SLOW = 4  # the animation shows frames at the clip's rate, so each of its own stays for four
FIRST, LAST = 6, 47  # the part of the clip in which the bird moves
SIZE = (400, 225)
ROWS, STRENGTH, WIDTH = 10, 5, 288
GAP = 4  # pixels between pictures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="picture", required=True)
    commands.add_parser("animation")
    commands.add_parser("validation").add_argument("root", metavar="VAL", type=Path)
    args = parser.parse_args()
    written = draw_animation() if args.picture == "animation" else draw_validation(args.root)
    print(f"{written}: {written.stat().st_size / 1e6:.2f} MB")


def draw_animation() -> Path:
    output, model = ROOT / "docs" / "bird.webp", waveletvfi(ROOT / "checkpoints" / "waveletvfi_small.pth")
    reader = VideoReader(EXAMPLE)
    rate, frames = float(reader.rate), [frame.image for frame in reader.frames()][FIRST : LAST + 1]
    reader.close()
    before, after, pictures = f"before: {rate / SLOW:g} frames/s", f"after: {rate:g} frames/s", []
    for frame0, frame1 in itertools.pairwise(frames):
        img0, img1 = image_to_tensor(frame0), image_to_tensor(frame1)
        left = labelled(frame0, before)
        for step in range(SLOW):
            made = tensor_to_image(model.interpolate(img0, img1, t=step / SLOW)) if step else frame0
            picture = Image.new("RGB", (2 * SIZE[0] + GAP, SIZE[1]), "white")
            picture.paste(left, (0, 0))
            picture.paste(labelled(made, after), (SIZE[0] + GAP, 0))
            pictures.append(picture)
    duration = round(1000 / rate)
    pictures[0].save(output, save_all=True, append_images=pictures[1:], duration=duration, loop=0, quality=70, method=6)
    return output


def labelled(image: np.ndarray, label: str) -> Image.Image:
    """Return the frame, scaled down, with its label in the lower right corner."""
    picture = Image.fromarray(image).resize(SIZE, Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(picture), font_of_size(15)
    place = (SIZE[0] - 8, SIZE[1] - 8)
    draw.rectangle(draw.textbbox(place, label, font, "rs"), outline="black", fill="black", width=4)
    draw.text(place, label, "white", font, "rs")
    return picture


def draw_validation(root: Path) -> Path:
    output, model = ROOT / "checkpoints" / "validation.jpg", waveletvfi(ROOT / "checkpoints" / "waveletvfi_small.pth")
    found = []
    for triplet in open_mixture(root, "test"):
        img0, imgt, img1 = (frame[None].float() / 255 for frame in triplet)
        frames = model.interpolate(img0, img1), (img0 + img1) / 2
        found.append((float(psnr(frames[0], imgt)), imgt, frames))
    found.sort(key=lambda row: row[0])
    chosen = [found[round(k)] for k in torch.linspace(0, len(found) - 1, ROWS).tolist()]
    height = WIDTH * chosen[0][1].shape[-2] // chosen[0][1].shape[-1]
    sheet = Image.new("RGB", (5 * (WIDTH + GAP) - GAP, ROWS * (height + GAP) - GAP), "white")
    for row, (_, imgt, frames) in enumerate(chosen):
        cells = [(imgt, "truth")]
        for frame, name in zip(frames, ("ours", "average"), strict=True):
            error = ((frame - imgt).abs() * STRENGTH).clamp(0, 1)
            cells += [(frame, f"{name}: {float(psnr(frame, imgt)):.1f} dB"), (error, "")]
        for column, (image, label) in enumerate(cells):
            cell = Image.fromarray(tensor_to_image(image)).resize((WIDTH, height), Image.Resampling.LANCZOS)
            draw = ImageDraw.Draw(cell)
            draw.text((6, 3), label, "white", font_of_size(15), stroke_width=2, stroke_fill="black")
            sheet.paste(cell, (column * (WIDTH + GAP), row * (height + GAP)))
    sheet.save(output, quality=82)
    return output


if __name__ == "__main__":
    main()
