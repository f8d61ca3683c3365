"""Small trees in the layouts of the benchmark sets, of noise, or of plain frames told apart by their grey level."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from datasets import HD, Xiph

SIZE = (32, 48)


def plain(path: Path, level: int, size: tuple[int, int] = SIZE) -> None:
    """A frame of one grey level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(path)


def plains(paths: Iterable[Path], size: tuple[int, int] = SIZE) -> None:
    """Frames of grey levels 0, 1, 2, ..."""
    for level, path in enumerate(paths):
        plain(path, level, size)


def noise_triplets(root: Path, sizes: list[tuple[int, int]]) -> Path:
    """Triplets of noise in the layout of Vimeo90K; the first pixel of triplet n is 10 n."""
    noise = np.random.default_rng(0)
    names = [f"00001/{n:04d}" for n in range(1, len(sizes) + 1)]
    for n, (name, size) in enumerate(zip(names, sizes, strict=True)):
        folder = root / "sequences" / name
        folder.mkdir(parents=True)
        for k in (1, 2, 3):
            pixels = noise.integers(0, 256, (*size, 3), dtype=np.uint8)
            pixels[0, 0] = 10 * n
            Image.fromarray(pixels).save(folder / f"im{k}.png")
    (root / "tri_testlist.txt").write_text("\n".join(names))
    return root


def vimeo90k(root: Path) -> None:
    plains(root / "vimeo_triplet/sequences/00001/0002" / f"im{k}.png" for k in (1, 2, 3))
    (root / "vimeo_triplet/tri_testlist.txt").write_text("00001/0002\n")


def vimeo_interp_test(root: Path) -> None:
    places = zip(("input", "target", "input"), (1, 2, 3), strict=True)
    plains(root / "vimeo_interp_test" / part / f"00001/0002/im{k}.png" for part, k in places)
    (root / "vimeo_interp_test/tri_testlist.txt").write_text("00001/0002\n")


def vimeo90k_septuplet(root: Path) -> None:
    plains(root / "vimeo_septuplet/sequences/00001/0002" / f"im{k}.png" for k in range(1, 8))
    (root / "vimeo_septuplet/sep_testlist.txt").write_text("00001/0002\n")


def ucf101(root: Path) -> None:
    names = ("frame_00.png", "frame_01_gt.png", "frame_02.png", "frame_01_ours.png")
    plains(root / "ucf101_interp_ours" / folder / name for folder in ("1", "11", "2") for name in names)


def snu_film(root: Path) -> None:
    files = [
        f"test/{clip}/00000{n}.png" for clip in ("GOPRO_test/GOPR0384_11_00", "YouTube_test/0000") for n in (1, 2, 3)
    ]
    plains(root / "SNU-FILM" / file for file in files)
    lines = [" ".join(f"data/SNU-FILM/{file}" for file in files[first : first + 3]) for first in (0, 3)]
    (root / "SNU-FILM/eval_modes").mkdir()
    (root / "SNU-FILM/eval_modes/test-hard.txt").write_text("\n".join(lines) + "\n\n")


def xiph(root: Path) -> None:
    clip = Xiph.clips[1]
    plains((root / "netflix" / f"{clip}-{n:03d}.png" for n in range(1, 101)), size=(16, 32))


def atd12k(root: Path) -> None:
    plains(root / "test_2k_540p/Disney_v4_1" / f"frame{n}.jpg" for n in (1, 2, 3))
    plains(root / "test_2k_540p/Japan_v2_3" / f"frame{n}.png" for n in (1, 2, 3))


def middlebury(root: Path) -> None:
    plains(
        root / part / scene / f"{name}.png"
        for scene in ("Beanbags", "Urban2")
        for part, name in (("other-data", "frame10"), ("other-gt-interp", "frame10i11"), ("other-data", "frame11"))
    )


def x_test(root: Path) -> None:
    for kind, clip in (("Type1", "TEST01_003_f0433"), ("Type2", "TEST06_001_f0273")):
        plains(root / "test" / kind / clip / f"{n:04d}.png" for n in range(33))


def gopro(root: Path) -> None:
    plains(root / "test/GOPR0384_11_00" / f"{n:06d}.png" for n in range(1, 20))
    plains(root / "test/GOPR0385_11_01" / f"{n:06d}.png" for n in range(1, 9))  # one too short


def adobe240(root: Path) -> None:
    plains(root / "test_frames/GOPR9635" / f"{n:06d}.png" for n in range(1, 18))
    plains(root / "test_frames/IMG_0001" / f"{n:06d}.png" for n in range(1, 10))


def hd(root: Path, clip: str = "HD544p_GT/Sintel_Alley2_1280x544.yuv", frames: int = 5) -> None:
    """One clip whose frame n has the luma n and no colour."""
    _, height, width = next(known for known in HD.clips if known[0] == clip)
    path = root / "HD_dataset" / clip
    path.parent.mkdir(parents=True)
    chroma = np.full(height * width // 2, 128, np.uint8)
    with path.open("wb") as file:
        for level in range(frames):
            file.write(np.full(height * width, 100 + level, np.uint8).tobytes() + chroma.tobytes())
