"""The table of all benchmark sets: what each script reads, its own option, and the sets that it opens."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import datasets
from datasets import FrameSet, SNUFilm, Xiph, XTest


class Option(NamedTuple):
    """An option that one script has beside the common ones. flag: its name. settings: as `add_argument` takes them."""

    flag: str
    settings: dict[str, Any]


class Benchmark(NamedTuple):
    """One script.

    data: help text of --data_root. open: the sets for parsed arguments. option: its own option, None if it has none.
    """

    data: str
    open: Callable[[argparse.Namespace], Sequence[FrameSet]]
    option: Option | None = None


CROP = Option(
    "--crop", {"type": int, "default": 512, "help": "side of the square in the middle, 0: whole frames (512)"}
)
#: By the name of the script.
BENCHMARKS = {
    "Vimeo90K": Benchmark(
        "the unpacked archive: vimeo_triplet or vimeo_septuplet, or the folder around it",
        lambda args: [datasets.Vimeo90KTest(args.data_root)],
    ),
    "UCF101": Benchmark(
        "the unpacked archive: ucf101_interp_ours, or the folder around it",
        lambda args: [datasets.UCF101(args.data_root)],
    ),
    "SNU_FILM": Benchmark(
        "the unpacked archive, or the folder around it",
        lambda args: [SNUFilm(args.data_root, mode) for mode in args.modes],
        Option(
            "--modes",
            {"nargs": "+", "choices": SNUFilm.modes, "default": SNUFilm.modes, "help": "difficulties (all)"},
        ),
    ),
    "Xiph": Benchmark(
        "the folder of <clip>-001.png, ..., or the one around it",
        lambda args: [Xiph(args.data_root, size) for size in args.sizes],
        Option(
            "--sizes",
            {"nargs": "+", "choices": Xiph.sizes, "default": Xiph.sizes, "help": "2K: halved, 4K: cropped (both)"},
        ),
    ),
    "ATD12K": Benchmark(
        "the unpacked archive: test_2k_540p, or the folder around it",
        lambda args: [datasets.ATD12K(args.data_root)],
    ),
    "Middlebury": Benchmark(
        "the folder that holds other-data and other-gt-interp",
        lambda args: [datasets.Middlebury(args.data_root)],
    ),
    "HD": Benchmark(
        "the unpacked archive: HD_dataset, or the folder around it",
        lambda args: [datasets.HD(args.data_root)],
    ),
    "XTest": Benchmark(
        "the folder test of X4K1000FPS, or the one around it",
        lambda args: [XTest(args.data_root, size) for size in args.sizes],
        Option("--sizes", {"nargs": "+", "choices": XTest.sizes, "default": ["4K"], "help": "4K, 2K: halved (4K)"}),
    ),
    "GoPro": Benchmark(
        "the folder test of GOPRO_Large_all, or the one around it",
        lambda args: [datasets.GoPro(args.data_root, args.crop)],
        CROP,
    ),
    "Adobe240": Benchmark(
        "the folder test_frames, or the one around it",
        lambda args: [datasets.Adobe240(args.data_root, args.crop)],
        CROP,
    ),
    "Folder": Benchmark(
        "a folder of videos, or of folders of numbered images, at any depth",
        lambda args: [datasets.Folder(args.data_root, args.multiplier)],
        Option(
            "--multiplier",
            {"type": int, "default": 2, "help": "2, 4, 8, ...: predict all between every so many (2)"},
        ),
    ),
}
