"""The table of all benchmark scripts: the data of each script, its own option, and the sets that it opens."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import datasets
from datasets import FrameSet, SNUFilm, Xiph, XTest


class Option(NamedTuple):
    """The option that one script has beside the common ones.

    name: the name of the option, without dashes.
    settings: the further arguments of `add_argument`.
    """

    name: str
    settings: dict[str, Any]


class Benchmark(NamedTuple):
    """One benchmark script.

    data: the help text of --data_root.
    open: returns the sets for --data_root and the value of the script's own option, which is None without an option.
    option: the script's own option, or None.
    """

    data: str
    open: Callable[[Path, Any], Sequence[FrameSet]]
    option: Option | None = None


CROP = Option(
    "crop", {"type": int, "default": 512, "help": "side of the square used in the middle, 0: whole frames (512)"}
)
#: The scripts by their names.
BENCHMARKS = {
    "Vimeo90K": Benchmark(
        "the unpacked archive: vimeo_triplet or vimeo_septuplet, or the folder around it",
        lambda root, _: [datasets.Vimeo90KTest(root)],
    ),
    "UCF101": Benchmark(
        "the unpacked archive: ucf101_interp_ours, or the folder around it",
        lambda root, _: [datasets.UCF101(root)],
    ),
    "SNU_FILM": Benchmark(
        "the unpacked archive, or the folder around it",
        lambda root, modes: [SNUFilm(root, mode) for mode in modes],
        Option(
            "modes",
            {"nargs": "+", "choices": SNUFilm.modes, "default": SNUFilm.modes, "help": "the difficulties (all)"},
        ),
    ),
    "Xiph": Benchmark(
        "the folder of <clip>-001.png, ..., or the one around it",
        lambda root, sizes: [Xiph(root, size) for size in sizes],
        Option(
            "sizes",
            {"nargs": "+", "choices": Xiph.sizes, "default": Xiph.sizes, "help": "2K: halved, 4K: cropped (both)"},
        ),
    ),
    "ATD12K": Benchmark(
        "the unpacked archive: test_2k_540p, or the folder around it",
        lambda root, _: [datasets.ATD12K(root)],
    ),
    "Middlebury": Benchmark(
        "the folder that holds other-data and other-gt-interp",
        lambda root, _: [datasets.Middlebury(root)],
    ),
    "HD": Benchmark(
        "the unpacked archive: HD_dataset, or the folder around it",
        lambda root, _: [datasets.HD(root)],
    ),
    "XTest": Benchmark(
        "the folder test of X4K1000FPS, or the one around it",
        lambda root, sizes: [XTest(root, size) for size in sizes],
        Option("sizes", {"nargs": "+", "choices": XTest.sizes, "default": ["4K"], "help": "4K, 2K: halved (4K)"}),
    ),
    "GoPro": Benchmark(
        "the folder test of GOPRO_Large_all, or the one around it",
        lambda root, crop: [datasets.GoPro(root, crop)],
        CROP,
    ),
    "Adobe240": Benchmark(
        "the folder test_frames, or the one around it",
        lambda root, crop: [datasets.Adobe240(root, crop)],
        CROP,
    ),
    "Folder": Benchmark(
        "a folder of videos, or of folders of numbered images, at any depth",
        lambda root, multiplier: [datasets.Folder(root, multiplier)],
        Option(
            "multiplier",
            {"type": int, "default": 2, "help": "2, 4, 8, ...: of so many frames, all but the first are predicted (2)"},
        ),
    ),
}
