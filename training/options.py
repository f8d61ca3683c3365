"""The trainer's command line: every flag with the paper's value, and checks of combinations of them."""

import argparse
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import utils
from models import PRECISIONS
from models.config import are_scales

from .checkpoints import AUTO

POSITIVE = ("epochs", "batch_size", "accumulate", "crop_size", "log_every", "val_every", "keep", "max_bad_steps")
POSITIVE += ("temperature_end", "temperature_decay")
NOT_NEGATIVE = ("cache_gib", "clip_norm", "time_limit", "workers", "lr_warmup")
NOT_NEGATIVE += ("weight_wavelet", "weight_cost", "weight_teacher", "weight_passes", "weight_log")


class _Roots(argparse.Action):
    """An option with several values that can be given several times. The values replace the default."""

    def __call__(self, parser, namespace, values, option_string=None):
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if given is self.default else [*given, *values])


def _scales(text: str) -> tuple[int, ...]:
    """Parse digits, each equal to the one before or one less."""
    scales = tuple(int(digit) for digit in text) if text.isdecimal() else ()
    if not are_scales(scales):
        raise argparse.ArgumentTypeError(
            f"digits such as 0, 10, 2210 or 21 are needed, each equal to the one before or one less; got {text!r}"
        )
    return scales


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"true or false is needed, got {text!r}")
    return values[text.lower()]


def _option(default: object, help: str, **settings: object) -> Any:
    """Return a field for a flag. `settings` are further arguments of `add_argument`."""
    return dataclasses.field(metadata={"default": default, "help": help, **settings})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of a run. Each field is a flag of the command line, with its default and the text of --help."""

    data_root: Sequence[str] = _option(
        ["vimeo_triplet"],
        "training data: Vimeo90K's triplets or septuplets, a folder of short clips, made-up shapes:COUNT[:HxW], "
        "or cutouts:COUNT[:HxW]:ROOT with the frames of another root; several roots are mixed",
        nargs="+",
        action=_Roots,
    )
    val_root: Sequence[str] | None = _option(
        None, "validation triplets (default: the test split of --data_root)", nargs="+", action=_Roots
    )
    strides: Sequence[int] = _option(
        [1],
        "distance of a triplet's frames in clips; 1 2 also makes triplets of twice the motion (default: 1)",
        type=int,
        nargs="+",
    )
    exposure: float = _option(
        0.0, "probability of another brightness and gamma, the same for the three frames of a triplet; paper: 0"
    )
    any_time: float = _option(
        0.0, "probability of a true frame at any time between the outer two, if the data has such frames; paper: 0"
    )
    where_it_moves: float = _option(
        0.0, "probability of choosing, from four crops, the one in which the outer frames differ most; paper: 0"
    )
    skip_bad: bool = _option(
        False, "leave out missing or corrupt training samples, and count them", action="store_true"
    )
    cache_gib: float = _option(8.0, "GiB of decoded frames of clips to keep in memory (default: 8)")
    cache_folder: str | None = _option(None, "keep decoded frames in this folder, for all processes and later runs")
    out: str = _option("runs/train", "folder for checkpoints and TensorBoard files (default: runs/train)")
    init_from: str | None = _option(None, "start from these weights (float32, or half precision as shipped)")
    branch_from: str | None = _option(
        None, "start from a run's checkpoint: its weights, and the state of its optimizer"
    )
    resume: str | None = _option(
        None, "continue a run: its folder or a checkpoint; auto: the run in --out if there is one, else a fresh run"
    )
    keep: int = _option(3, "number of checkpoints that stay, the last ones (default: 3)")
    save_minutes: float = _option(5.0, "minutes between checkpoints within an epoch (default: 5)")
    val_every: int = _option(1, "epochs between validations (default: 1)")
    log_every: int = _option(50, "steps between TensorBoard entries (default: 50)")

    config: str = _option("base", "the network: base (the paper's) or small; stored weights know their own")
    dynamic: bool = _option(False, "train the dynamic stage (default: static)", type=_boolean, nargs="?", const=True)
    classifier_only: bool = _option(
        False,
        "in the dynamic stage, train the classifier alone, to predict each candidate's PSNR; paper: all",
        action="store_true",
    )
    scales: Sequence[tuple[int, ...]] | None = _option(
        None,
        "scales of MP-Net's passes (its runs, on smaller frames first), drawn for every step: 0 is one pass at "
        "full size, 210 is three at 1/4, 1/2 and 1; a repeated value is drawn more often (default: as configured)",
        type=_scales,
        nargs="+",
    )
    weight_passes: float = _option(0.0, "weight of the loss of smaller passes' merged frames; paper: 0")
    weight_log: float = _option(
        0.0, "weight of the logarithm of each sample's squared error, outside the dynamic stage; paper: 0"
    )
    ratios: Sequence[float] | None = _option(
        None, "candidate threshold ratios; paper: 0 0.005 0.01 0.015", type=float, nargs="+"
    )
    weight_wavelet: float = _option(0.01, "weight of the wavelet loss; paper: 0.01")
    weight_cost: float = _option(
        3.0, "weight of the computation loss; with --classifier_only the PSNR in dB that everything is worth; paper: 3"
    )
    temperature_end: float = _option(0.4, "lowest temperature of the Gumbel-softmax; paper: 0.4")
    temperature_decay: float = _option(
        0.5, "part of the run in which the temperature would fall from 1 to 0; paper: 0.5"
    )
    teacher: str | None = _option(
        None,
        "module:function of another network, whose flows MP-Net also learns where they are better: (img0, img1) "
        "or (img0, img1, imgt, t) -> flow_t0, flow_t1; paper: none",
    )
    weight_teacher: float = _option(0.01, "weight of the distance to the teacher's flows")
    flow_warmup: float = _option(
        0.0, "part of a static run, at its beginning, that trains the merged frame alone; paper: 0"
    )

    epochs: int = _option(300, "epochs of the run; paper: 300 static, 100 dynamic")
    time_limit: float = _option(0.0, "minutes of the whole run, which plan the schedule instead of --epochs")
    batch_size: int = _option(6, "samples per batch and process; paper: 6 on each of 4 GPUs")
    accumulate: int = _option(1, "batches per optimizer step on each process; paper: 1")
    crop_size: int = _option(256, "height and width of the crops in pixels; paper: 256")
    optimizer: str = _option("adamw", "see training/optimizer.py; paper: adamw", choices=("adamw", "muon"))
    lr_start: float = _option(1e-4, "learning rate at the beginning; paper: 1e-4")
    lr_end: float = _option(1e-5, "learning rate at the end; paper: 1e-5")
    lr_warmup: int | None = _option(
        None, "steps of rising learning rate (default: 100 with --init_from, else 0)", type=int
    )
    clip_norm: float = _option(0.0, "limit of the gradients' norm, 0: none; paper: 0")
    ema: float = _option(
        0.999,
        "decay of the moving average of the weights, which is validated and shipped (default: 0.999); paper: 0, none",
    )
    max_bad_steps: int = _option(10, "skipped steps in a row that end the run (default: 10)")
    seed: int = _option(1234, "seed of order, augmentation and Gumbel noise (default: 1234)")

    device: str = _option("auto", "auto, cpu, cuda or mps (default: auto)")
    precision: str = _option("float32", "precision of the network; fp16 needs CUDA; paper: float32", choices=PRECISIONS)
    compile: bool = _option(
        False,
        "compile the network and, on a GPU, the loss with torch.compile (needs a C++ compiler)",
        action="store_true",
    )
    workers: int = _option(2, "processes that read data, for each process of the run (default: 2)")
    world_size: int | None = _option(None, "number of processes; must be the launcher's", type=int)
    local_rank: int = _option(int(os.environ.get("LOCAL_RANK", 0)), "set by the launcher")


def build_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of the command line. Flags have underscores like the published commands, or dashes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(Settings):
        names = dict.fromkeys((f"--{field.name}", f"--{field.name.replace('_', '-')}"))
        number = {"type": field.type} if field.type in (int, float) else {}
        parser.add_argument(*names, dest=field.name, **number, **field.metadata)
    return parser


def check_args(settings: Settings, process: utils.Process) -> None:
    """Check that the options fit each other and the running processes. Print warnings.

    Raises:
        ValueError: options contradict each other, or a value is impossible here.
    """
    if settings.world_size not in (None, process.world_size):
        raise ValueError(
            f"--world_size {settings.world_size}, but {process.world_size} process(es) run; start with "
            f"torchrun --nproc_per_node={settings.world_size} train_vimeo90k.py ..."
        )
    for name in POSITIVE:
        if not getattr(settings, name) > 0:
            raise ValueError(f"--{name} must be positive, got {getattr(settings, name)}")
    for name in NOT_NEGATIVE:
        if getattr(settings, name) is not None and not getattr(settings, name) >= 0:
            raise ValueError(f"--{name} must not be negative, got {getattr(settings, name)}")
    if not 0 <= settings.ema < 1:
        raise ValueError(f"--ema is the share of the old average, at least 0 (off) and below 1; got {settings.ema}")
    if settings.crop_size % 16:
        raise ValueError(f"--crop_size must be a multiple of 16, got {settings.crop_size}")
    if settings.precision == "fp16" and process.device.type != "cuda":
        raise ValueError(f"--precision fp16 needs a CUDA device, this run is on {process.device}; use bf16 or float32")
    if settings.init_from and settings.branch_from:
        raise ValueError("--init_from takes weights alone, --branch_from also the optimizer's state; give one of them")
    if settings.classifier_only and not settings.dynamic:
        raise ValueError("--classifier_only is for the dynamic stage; give --dynamic true as well")
    if settings.dynamic and not settings.init_from and settings.resume in (None, AUTO) and process.is_main:
        print("warning: the dynamic stage starts from static weights in the paper; give them with --init_from")
    if settings.time_limit and process.is_main:
        print(f"the schedule is planned for {settings.time_limit} minutes; --epochs is not used")
