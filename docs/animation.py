"""python docs/animation.py

Draw docs/bird.webp, the animation at the top of the README: a clip in slow motion, on the left its own frames, on the
right the frames of the shipped weights between them. It needs an environment with the clone's requirements.
"""

import itertools
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parent.parent))

from datasets.clips import EXAMPLE
from models import waveletvfi
from utils import image_to_tensor, tensor_to_image
from video import VideoReader
from video.picture import font_of_size

SLOW = 4  # frames are shown at the clip's rate, so each of its own stays for four
FIRST, LAST = 6, 47  # the part of the clip in which the bird moves
SIZE = (400, 225)


def main() -> None:
    output = Path(__file__).with_name("bird.webp")
    model = waveletvfi(EXAMPLE.parent.parent / "checkpoints" / "waveletvfi_small.pth")
    reader = VideoReader(EXAMPLE)
    rate, frames = float(reader.rate), [frame.image for frame in reader.frames()][FIRST : LAST + 1]
    reader.close()
    before, after, pictures = f"before: {rate / SLOW:g} frames/s", f"after: {rate:g} frames/s", []
    for frame0, frame1 in itertools.pairwise(frames):
        img0, img1 = image_to_tensor(frame0), image_to_tensor(frame1)
        left = small(frame0, before)
        for step in range(SLOW):
            made = tensor_to_image(model.interpolate(img0, img1, t=step / SLOW)) if step else frame0
            picture = Image.new("RGB", (2 * SIZE[0] + 4, SIZE[1]), "white")
            picture.paste(left, (0, 0))
            picture.paste(small(made, after), (SIZE[0] + 4, 0))
            pictures.append(picture)
    duration = round(1000 / rate)
    pictures[0].save(output, save_all=True, append_images=pictures[1:], duration=duration, loop=0, quality=70, method=6)
    print(f"{output}: {len(pictures)} pictures, {output.stat().st_size / 1e6:.2f} MB")


def small(image: np.ndarray, label: str) -> Image.Image:
    """Return the frame, scaled down, with its label in the lower right corner."""
    picture = Image.fromarray(image).resize(SIZE, Image.Resampling.LANCZOS)
    draw, font = ImageDraw.Draw(picture), font_of_size(15)
    place = (SIZE[0] - 8, SIZE[1] - 8)
    draw.rectangle(draw.textbbox(place, label, font, "rs"), outline="black", fill="black", width=4)
    draw.text(place, label, "white", font, "rs")
    return picture


if __name__ == "__main__":
    main()
