"""The trainer's command line: every flag with the paper's value, and checks of combinations of them."""

import argparse
import dataclasses
import os
from collections.abc import Callable

import utils
from models import PRECISIONS
from models.config import are_scales

from .checkpoints import AUTO

POSITIVE = ("epochs", "batch_size", "accumulate", "crop_size", "log_every", "val_every", "keep", "max_bad_steps")
POSITIVE += ("temperature_end", "temperature_decay")
NOT_NEGATIVE = (
    "cache_gib",
    "weight_wavelet",
    "weight_cost",
    "weight_teacher",
    "weight_passes",
    "weight_log",
    "clip_norm",
)
NOT_NEGATIVE += ("time_limit", "workers", "lr_warmup")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of a run. `build_parser` describes each of them."""

    data_root: list[str]
    val_root: list[str] | None
    strides: list[int]
    exposure: float
    any_time: float
    where_it_moves: float
    skip_bad: bool
    cache_gib: float
    cache_folder: str | None
    out: str
    init_from: str | None
    branch_from: str | None
    resume: str | None
    keep: int
    save_minutes: float
    val_every: int
    log_every: int
    config: str
    dynamic: bool
    classifier_only: bool
    scales: list[tuple[int, ...]] | None
    weight_passes: float
    weight_log: float
    ratios: list[float] | None
    weight_wavelet: float
    weight_cost: float
    temperature_end: float
    temperature_decay: float
    teacher: str | None
    weight_teacher: float
    flow_warmup: float
    epochs: int
    time_limit: float
    batch_size: int
    accumulate: int
    crop_size: int
    optimizer: str
    lr_start: float
    lr_end: float
    lr_warmup: int | None
    clip_norm: float
    ema: float
    max_bad_steps: int
    seed: int
    device: str
    precision: str
    compile: bool
    workers: int
    world_size: int | None
    local_rank: int


def build_parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of the command line. Flags have underscores like the published commands, or dashes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(name: str, **options: object) -> None:
        parser.add_argument(*dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")), dest=name, **options)

    _add_files(add)
    _add_method(add)
    _add_schedule(add)
    _add_machine(add)
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


def _add_files(add: Callable[..., None]) -> None:
    roots = "training data: Vimeo90K's triplets or septuplets, a folder of short clips, made-up shapes:COUNT[:HxW], or "
    roots += "cutouts:COUNT[:HxW]:ROOT with the frames of another root; several roots are mixed"
    add("data_root", nargs="+", action=_Roots, default=["vimeo_triplet"], help=roots)
    add("val_root", nargs="+", action=_Roots, help="validation triplets (default: the test split of --data_root)")
    strides = "distance of a triplet's frames in clips; 1 2 also makes triplets of twice the motion (default: 1)"
    add("strides", type=int, nargs="+", default=[1], help=strides)
    exposure = "probability of another brightness and gamma, the same for the three frames of a triplet; paper: 0"
    add("exposure", type=float, default=0.0, help=exposure)
    any_time = "probability of a true frame at any time between the outer two, if the data has such frames; paper: 0"
    add("any_time", type=float, default=0.0, help=any_time)
    where = "probability of choosing, from four crops, the one in which the outer frames differ most; paper: 0"
    add("where_it_moves", type=float, default=0.0, help=where)
    add("skip_bad", action="store_true", help="leave out missing or corrupt training samples, and count them")
    add("cache_gib", type=float, default=8.0, help="GiB of decoded frames of clips to keep in memory (default: 8)")
    add("cache_folder", help="keep decoded frames in this folder, for all processes and later runs")
    add("out", default="runs/train", help="folder for checkpoints and TensorBoard files (default: runs/train)")
    add("init_from", help="start from these weights (float32, or half precision as shipped)")
    add("branch_from", help="start from a run's checkpoint: its weights, and the state of its optimizer")
    resume = "continue a run: its folder or a checkpoint; auto: the run in --out if there is one, else a fresh run"
    add("resume", help=resume)
    add("keep", type=int, default=3, help="number of checkpoints that stay, the last ones (default: 3)")
    add("save_minutes", type=float, default=5.0, help="minutes between checkpoints within an epoch (default: 5)")
    add("val_every", type=int, default=1, help="epochs between validations (default: 1)")
    add("log_every", type=int, default=50, help="steps between TensorBoard entries (default: 50)")


def _add_method(add: Callable[..., None]) -> None:
    add("config", default="base", help="the network: base (the paper's) or small; stored weights know their own")
    add(
        "dynamic", type=_boolean, nargs="?", const=True, default=False, help="train the dynamic stage (default: static)"
    )
    classifier_only = "in the dynamic stage, train the classifier alone, to predict each candidate's PSNR; paper: all"
    add("classifier_only", action="store_true", help=classifier_only)
    scales = (
        "scales of MP-Net's passes (its runs, on smaller frames first), drawn for every step: 0 is one pass at full "
    )
    scales += "size, 210 is three at 1/4, 1/2 and 1; a repeated value is drawn more often (default: as configured)"
    add("scales", type=_scales, nargs="+", help=scales)
    add("weight_passes", type=float, default=0.0, help="weight of the loss of smaller passes' merged frames; paper: 0")
    log = "weight of the logarithm of each sample's squared error, outside the dynamic stage; paper: 0"
    add("weight_log", type=float, default=0.0, help=log)
    add("ratios", type=float, nargs="+", help="candidate threshold ratios; paper: 0 0.005 0.01 0.015")
    add("weight_wavelet", type=float, default=0.01, help="weight of the wavelet loss; paper: 0.01")
    cost = "weight of the computation loss; with --classifier_only the PSNR in dB that everything is worth; paper: 3"
    add("weight_cost", type=float, default=3.0, help=cost)
    add("temperature_end", type=float, default=0.4, help="lowest temperature of the Gumbel-softmax; paper: 0.4")
    temperature_decay = "part of the run in which the temperature would fall from 1 to 0; paper: 0.5"
    add("temperature_decay", type=float, default=0.5, help=temperature_decay)
    add(
        "teacher",
        help="module:function of another network, whose flows MP-Net also learns where they are better: "
        "(img0, img1) or (img0, img1, imgt, t) -> flow_t0, flow_t1; paper: none",
    )
    add("weight_teacher", type=float, default=0.01, help="weight of the distance to the teacher's flows")
    flow_warmup = "part of a static run, at its beginning, that trains the merged frame alone; paper: 0"
    add("flow_warmup", type=float, default=0.0, help=flow_warmup)


def _add_schedule(add: Callable[..., None]) -> None:
    add("epochs", type=int, default=300, help="epochs of the run; paper: 300 static, 100 dynamic")
    add(
        "time_limit",
        type=float,
        default=0.0,
        help="minutes of the whole run, which plan the schedule instead of --epochs",
    )
    add("batch_size", type=int, default=6, help="samples per batch and process; paper: 6 on each of 4 GPUs")
    add("accumulate", type=int, default=1, help="batches per optimizer step on each process; paper: 1")
    add("crop_size", type=int, default=256, help="height and width of the crops in pixels; paper: 256")
    add("optimizer", choices=("adamw", "muon"), default="adamw", help="see training/optimizer.py; paper: adamw")
    add("lr_start", type=float, default=1e-4, help="learning rate at the beginning; paper: 1e-4")
    add("lr_end", type=float, default=1e-5, help="learning rate at the end; paper: 1e-5")
    add("lr_warmup", type=int, help="steps of rising learning rate (default: 100 with --init_from, else 0)")
    add("clip_norm", type=float, default=0.0, help="limit of the gradients' norm, 0: none; paper: 0")
    ema = "decay of the moving average of the weights, which is validated and shipped (default: 0.999); paper: 0, none"
    add("ema", type=float, default=0.999, help=ema)
    add("max_bad_steps", type=int, default=10, help="skipped steps in a row that end the run (default: 10)")
    add("seed", type=int, default=1234, help="seed of order, augmentation and Gumbel noise (default: 1234)")


def _add_machine(add: Callable[..., None]) -> None:
    add("device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    add(
        "precision",
        choices=PRECISIONS,
        default="float32",
        help="precision of the network; fp16 needs CUDA; paper: float32",
    )
    add(
        "compile",
        action="store_true",
        help="compile the network and, on a GPU, the loss with torch.compile (needs a C++ compiler)",
    )
    add("workers", type=int, default=2, help="processes that read data, for each process of the run (default: 2)")
    add("world_size", type=int, help="number of processes; must be the launcher's")
    add("local_rank", type=int, default=int(os.environ.get("LOCAL_RANK", 0)), help="set by the launcher")


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
