"""Change the weights in a file between two runs, and write the result to another file.

    python -m training.tools resize --config small --from a.pth --output b.pth            # other widths and inputs
    python -m training.tools resize --set decoder=24,48,80,96 correlation=3 any_time=true --from a.pth --output b.pth
    python -m training.tools mean --from run17.pth:0.85 run12.pth:0.15 --output mean.pth  # a weighted mean
    python -m training.tools redraw --part motion.classifier --from a.pth --output b.pth  # a part drawn anew
    python -m training.tools rescale --data_root CLIPS --from a.pth --output b.pth        # the classifier's input
    python -m training.tools graft --from a.pth trained.pth before.pth --output b.pth     # another run's classifier
    python -m training.tools average --from runs/a/last.pth --output b.pth                # a run's moving average
    python -m training.tools pack --from runs/trunk/last.pth --output trunk.pth           # see training/checkpoints.py

The input is a run's checkpoint or weights. The output holds weights with their configuration.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import utils
from datasets import open_mixture
from models import CONFIGS, Config, WaveletVFI, find_config
from models.weights import checkpoint_of

from .checkpoints import pack
from .surgery import graft, mean, redraw, rescale, resize

PAIRS = 60  # number of pairs on which the classifier's input is measured


def main(args: argparse.Namespace) -> None:
    sources = [(utils.load_checkpoint(path), share) for path, share in args.source]
    content = sources[0][0]
    if "config" not in content:
        raise ValueError(f"{args.source[0][0]} does not name its configuration; give a file of this project")
    config = Config(**content["config"])
    if args.change == "pack":
        written = pack(content | {"model": averaged(content)} if args.averaged else content)
    else:
        weights, config = changed(args, [source for source, _ in sources], [share for _, share in sources], config)
        weights = {name: value.half() if args.half else value.float() for name, value in weights.items()}
        written = checkpoint_of(weights, config)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    utils.save_checkpoint(args.output, written)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB, {config}")


def changed(
    args: argparse.Namespace, sources: list[dict[str, Any]], shares: list[float], config: Config
) -> tuple[dict[str, Tensor], Config]:
    """Return the changed weights and their configuration."""
    state = sources[0]["model"]
    if args.change == "mean":
        return mean([source["model"] for source in sources], shares), config
    if args.change == "average":
        return averaged(sources[0]), config
    if args.change == "redraw":
        return redraw(state, config, args.part, seed=args.seed), config
    if args.change == "rescale":
        model = WaveletVFI(config).eval()
        model.load_state_dict(state)
        return rescale(model, training_pairs(args.data_root)), config
    if args.change == "graft":
        _, donor, before = sources
        ratios = Config(**donor["config"]).ratios
        return graft(state, donor["model"], before["model"], config), dataclasses.replace(config, ratios=ratios)
    goal = find_config(args.config) if args.config else dataclasses.replace(config, **dict(args.set))
    return resize(state, config, goal, seed=args.seed), goal


def averaged(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the moving average of a run's weights.

    Raises:
        ValueError: the run had no average (`--ema 0`), or the file holds weights alone.
    """
    prefix = "module."
    found = {n.removeprefix(prefix): v for n, v in checkpoint.get("average", {}).items() if n.startswith(prefix)}
    if not found:
        raise ValueError("the checkpoint holds no average of the weights; give a last.pth of a run with --ema")
    return found


def training_pairs(root: str) -> list[tuple[Tensor, Tensor]]:
    """Return the outer frames of `PAIRS` evenly chosen triplets, each cut to multiples of 16 pixels."""
    triplets, pairs = open_mixture(root, "train"), []
    for index in torch.linspace(0, len(triplets) - 1, min(PAIRS, len(triplets))).long().tolist():
        img0, _, img1 = (frame[None].float() / 255 for frame in triplets[index])
        height, width = (size // 16 * 16 for size in img0.shape[-2:])
        pairs.append((img0[..., :height, :width], img1[..., :height, :width]))
    return pairs


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("change", choices=("resize", "mean", "redraw", "rescale", "graft", "average", "pack"))
    parser.add_argument(
        "--from",
        dest="source",
        type=_source,
        nargs="+",
        required=True,
        help="a checkpoint; mean: several as PATH:SHARE; graft: the network, the one with the trained classifier, and "
        "that before it was rescaled",
    )
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--config", choices=CONFIGS, help="resize: the new configuration")
    parser.add_argument(
        "--set",
        type=_field,
        nargs="+",
        default=[],
        help="resize: changed fields of the configuration, NAME=VALUE[,VALUE]",
    )
    parser.add_argument(
        "--part", default="motion.classifier", help="redraw: the part, as named in the state dict (motion.classifier)"
    )
    parser.add_argument("--data_root", help="rescale: the training data")
    parser.add_argument("--seed", type=int, default=0, help="seed of random weights (0)")
    parser.add_argument(
        "--averaged", action="store_true", help="pack: take the averaged weights instead of the last ones"
    )
    parser.add_argument("--half", action="store_true", help="write half precision, like the shipped weights")
    args = parser.parse_args(argv)
    if args.change == "rescale" and not args.data_root:
        parser.error("rescale needs --data_root")
    count = {"mean": len(args.source), "graft": 3}.get(args.change, 1)
    if len(args.source) != count:
        parser.error(f"{args.change} takes {count} file(s), got {len(args.source)}")
    return args


def _source(text: str) -> tuple[Path, float]:
    path, colon, share = text.rpartition(":")
    try:
        return (Path(path), float(share)) if colon and path else (Path(text), 1.0)
    except ValueError:  # a path with a colon
        return Path(text), 1.0


def _field(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    fields = {field.name: field.default for field in dataclasses.fields(Config)}
    if name not in fields or not value:
        raise argparse.ArgumentTypeError(f"NAME=VALUE is needed, NAME one of {', '.join(fields)}; got {text!r}")
    default = fields[name]
    if isinstance(default, tuple):
        return name, tuple(type(default[0])(part) for part in value.split(","))
    if isinstance(default, bool):
        return name, value.lower() in ("true", "1", "yes")
    return name, int(value) if value.isdecimal() else value


if __name__ == "__main__":
    utils.run_script(main, parse_args())
