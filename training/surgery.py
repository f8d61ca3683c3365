"""Change weights between two runs: other widths, means of several runs, parts drawn anew, the classifier rescaled.

    python -m training.surgery resize small --from runs/a/best.pth --output resized.pth
    python -m training.surgery mean --from runs/a/best.pth:0.15 runs/b/best.pth:0.85 --output mean.pth
    python -m training.surgery redraw motion.classifier --from mean.pth --output redrawn.pth

Every change but `redraw`, `mean` and a narrower width leaves the frames as they were.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models import Config, WaveletVFI


class Part(NamedTuple):
    """The channels of one layer. outputs: a name. inputs: names, in the order in which they are concatenated."""

    outputs: str
    inputs: tuple[str, ...]


def resize(state: dict[str, Tensor], old: Config, new: Config, *, seed: int = 0) -> dict[str, Tensor]:
    """Give a network other widths.

    A wider layer keeps its channels; the new ones are drawn at random and nobody reads them yet (their weights in the
    next layer are 0), so the network computes what it did. A narrower one keeps the channels whose weights, incoming
    times outgoing, are largest. New inputs (correlation, time) are not read yet either.

    Args:
        state: the weights of a network of `old`.
        seed: of the new channels.
    Returns:
        The weights of a network of `new`.
    """
    torch.manual_seed(seed)
    fresh = WaveletVFI(new).state_dict()
    layers, before, after = _layers(), _channels(old), _channels(new)
    kept = {name: _important(name, state, layers, before, count) for name, count in after.items()}
    resized = {}
    for name, part in layers.items():
        transposed = name.endswith(".output")
        out, mapped = kept[part.outputs], fresh[f"{name}.weight"].clone()
        rows = mapped.transpose(0, 1) if transposed else mapped
        source = state[f"{name}.weight"].float()
        source = source.transpose(0, 1) if transposed else source
        start = source_start = 0
        for group in part.inputs:
            columns, count = kept[group], after[group]
            rows[: len(out), start : start + count] = 0
            rows[: len(out), start : start + len(columns)] = source[out][:, source_start + columns]
            # Old channels do not read new ones; nobody reads new outputs, which may read what they like.
            start, source_start = start + count, source_start + before[group]
        bias = fresh[f"{name}.bias"].clone()
        bias[: len(out)] = state[f"{name}.bias"].float()[out]
        resized |= {f"{name}.weight": mapped, f"{name}.bias": bias}
    return resized


def _important(
    name: str, state: dict[str, Tensor], layers: dict[str, Part], before: dict[str, int], count: int
) -> Tensor:
    """Numbers of the channels of `name` that are kept, in their order: all, or the `count` most important ones."""
    size = before[name]
    if count >= size:
        return torch.arange(size)
    incoming, outgoing = torch.zeros(size), torch.zeros(size)
    for layer, part in layers.items():
        weight = state[f"{layer}.weight"].float().abs()
        weight = weight.transpose(0, 1) if layer.endswith(".output") else weight
        if part.outputs == name:
            incoming += weight.flatten(1).sum(1)
        start = 0
        for group in part.inputs:
            if group == name:
                outgoing += weight[:, start : start + size].transpose(0, 1).flatten(1).sum(1)
            start += before[group]
    return (incoming * outgoing).topk(count).indices.sort().values


def _channels(config: Config) -> dict[str, int]:
    """How many channels each name of `_layers` has."""
    side = 2 * config.correlation + 1
    counts = {"rgb": 3, "seen": 8, "estimate": 5, "time": int(config.any_time), "low": 3, "bands": 9}
    counts |= {"matches": side**2 if config.correlation else 0, "ratios": len(config.ratios)}
    for level in range(1, 5):
        counts |= {f"{kind}{level}": config.encoder[level - 1] for kind in ("stride", "feature")}
        counts |= {f"hidden{level}.{number}": config.decoder[level - 1] for number in range(5)}
        counts |= {f"{kind}{level}": config.context[level - 1] for kind in ("context", "merged")}
        counts[f"synthesis{level}"] = config.synthesis[level - 1]
    return counts | {"pooled": config.decoder[3], "judged": config.decoder[3]}


def _layers() -> dict[str, Part]:
    """Every layer with weights, and the channels that it joins."""
    layers = {}
    for level in range(1, 5):
        i, previous = level - 1, level - 1
        layers[f"motion.encoder.levels.{i}.0.0"] = Part(f"stride{level}", (f"feature{previous}" if i else "rgb",))
        layers[f"motion.encoder.levels.{i}.1.0"] = Part(f"feature{level}", (f"stride{level}",))
        seen = [f"feature{level}"] * 2 + ["estimate"] * (level < 4) + ["matches"] * (level == 4) + ["time"]
        layers[f"motion.decoders.{i}.hidden.0.0"] = Part(f"hidden{level}.0", tuple(seen))
        for number in range(1, 5):
            inputs = (f"hidden{level}.{number - 1}",)
            layers[f"motion.decoders.{i}.hidden.{number}.0"] = Part(f"hidden{level}.{number}", inputs)
        layers[f"motion.decoders.{i}.output"] = Part("estimate", (f"hidden{level}.4",))
        layers[f"context.frames.levels.{i}.0"] = Part(f"context{level}", (f"context{previous}" if i else "rgb",))
        layers[f"context.merged.levels.{i}.0"] = Part(f"merged{level}", (f"merged{previous}" if i else "seen",))
        context = (f"context{level}", f"context{level}", f"merged{level}")
        conv = f"synthesis.levels.{i}" if level < 4 else "synthesis.coarsest.0"
        layers[conv] = Part(f"synthesis{level}", (*context, f"synthesis{level + 1}") if level < 4 else context)
        layers[f"synthesis.high_heads.{i}"] = Part("bands", (f"synthesis{level}",))
    layers["synthesis.low_head"] = Part("low", ("synthesis4",))
    layers["motion.classifier.conv.0"] = Part("pooled", ("hidden4.4",))
    layers["motion.classifier.linear.0"] = Part("judged", ("pooled",))
    layers["motion.classifier.linear.2"] = Part("ratios", ("judged",))
    return layers
