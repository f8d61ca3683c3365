"""python docs/validation.py VAL

Draw checkpoints/validation.jpg: ten validation triplets, from the worst to the best. A row has the truth, the shipped
weights' frame with its error, and the average of the two frames with its error, errors five times as strong. VAL is a
folder as `benchmark/Vimeo90K.py --data_root` takes it. It needs an environment with the clone's requirements.
"""

import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parent.parent))

from datasets import open_mixture
from models import waveletvfi
from models.losses import psnr
from utils import tensor_to_image
from video.picture import font_of_size

ROWS, STRENGTH, WIDTH, GAP = 10, 5, 288, 4


def main(root: str) -> None:
    folder = Path(__file__).parent.parent / "checkpoints"
    model = waveletvfi(folder / "waveletvfi_small.pth")
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
    sheet.save(folder / "validation.jpg", quality=82)


if __name__ == "__main__":
    main(*sys.argv[1:])
