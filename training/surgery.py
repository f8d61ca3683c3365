"""Change weights between two runs: resize layers, average runs, draw parts anew, rescale or replace the classifier.

`python -m training.tools` applies these functions to files.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models import Config, WaveletVFI

CLASSIFIER = "motion.classifier."  # how the names of its weights begin


class Part(NamedTuple):
    """The channels of one layer, as groups with names.

    outputs: the group that the layer computes.
    inputs: the groups that the layer reads, in the order in which they are concatenated.
    """

    outputs: str
    inputs: tuple[str, ...]


def resize(state: dict[str, Tensor], old: Config, new: Config, *, seed: int = 0) -> dict[str, Tensor]:
    """Change the widths of a network.

    A wider layer keeps its channels. The weights of new channels are random, and their weights in the next layer are 0,
    so the network still computes the same. A narrower layer keeps the channels with the largest product of incoming and
    outgoing weights. The weights for new inputs (correlation, time) are 0, too. A classifier that reads another level
    than before is drawn anew.

    Args:
        state: the weights of a network with the configuration `old`.
        old, new: the configurations.
        seed: the seed of the new channels.
    Returns:
        The weights of a network with the configuration `new`.
    """
    torch.manual_seed(seed)
    weights = WaveletVFI(new).state_dict()
    layers, before, after = _layers(new), _channels(old), _channels(new)
    if old.classifier_level != new.classifier_level:
        layers = {name: part for name, part in layers.items() if not name.startswith(CLASSIFIER)}
    kept = {name: _important(name, state, layers, before, count) for name, count in after.items()}
    for name, part in layers.items():
        out, rows, source = kept[part.outputs], _matrix(weights, name), _matrix(state, name)
        pieces = _by_group(rows[: len(out)], part, after), _by_group(source[out], part, before)
        for group, piece, source_piece in zip(part.inputs, *pieces, strict=True):
            # Old channels do not read new ones. New channels may read anything, as no layer reads them yet.
            piece.zero_()
            piece[:, : len(kept[group])] = source_piece[:, kept[group]]
        weights[f"{name}.bias"][: len(out)] = state[f"{name}.bias"].float()[out]
    return weights


def mean(states: Sequence[dict[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """Return the weighted mean of several networks' weights.

    Args:
        states: the weights of each network.
        shares: the share of each network; they add up to 1.
    Raises:
        ValueError: names or shapes differ, the number of shares is wrong, or they do not add up to 1.
    """
    if len(states) != len(shares) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"the shares of {len(states)} networks must be as many and add up to 1, got {list(shares)}")
    shapes = [{name: value.shape for name, value in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes[1:]):
        raise ValueError("a mean needs networks of one configuration; resize the others first")
    return {
        name: sum(share * state[name].float() for share, state in zip(shares, states, strict=True))
        for name in states[0]
    }


def redraw(state: dict[str, Tensor], config: Config, part: str, *, seed: int = 0) -> dict[str, Tensor]:
    """Return the weights with random ones for one part, such as "motion.classifier".

    Raises:
        ValueError: there is no such part.
    """
    torch.manual_seed(seed)
    fresh = WaveletVFI(config).state_dict()
    chosen = {name: value for name, value in fresh.items() if name.startswith(f"{part}.")}
    if not chosen:
        raise ValueError(f"there is no part {part!r}; parts are named as in the state dict, such as motion.classifier")
    return state | chosen


@torch.no_grad()
def rescale(model: WaveletVFI, pairs: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Scale the channels that the classifier reads to a size of about 1, without changing the network's output.

    The classifier reads the fifth hidden feature of one decoder. Each of its channels is divided by its root
    mean square over `pairs`, and the weights that read the channel are multiplied by it. LeakyReLU allows this, as it
    commutes with positive factors.

    Args:
        model: the network.
        pairs: img0 and img1, (B, 3, H, W) in [0, 1] each, where H and W are multiples of 16.
    Returns:
        The weights. A channel that is always 0 does not change.
    """
    index = model.config.classifier_level - 1
    squares, count = torch.zeros(model.config.decoder[index]), 0

    def note(module: object, inputs: object, hidden: Tensor) -> None:
        nonlocal squares, count
        squares, count = squares + (hidden.float() ** 2).mean((0, 2, 3)), count + 1

    handle = model.motion.decoders[index].hidden.register_forward_hook(note)
    try:
        for img0, img1 in pairs:
            model.perceive(img0, img1)
    finally:
        handle.remove()
    size = (squares / max(count, 1)).sqrt()
    return _divided(model.state_dict(), model.config, torch.where(size > 0, size, torch.ones_like(size)))


def graft(
    state: dict[str, Tensor], donor: dict[str, Tensor], before: dict[str, Tensor], config: Config
) -> dict[str, Tensor]:
    """Replace the classifier by a trained one of similar weights, and scale its input as it was when it was trained.

    Args:
        state: the weights of the network, not rescaled.
        donor: the weights with the trained classifier, all but which have stayed as `rescale` returned them.
        before: the weights that were given to `rescale` then.
        config: the configuration of all three; their ratios may differ.
    Returns:
        The weights. The frames of a fixed ratio do not change.
    """
    name = f"motion.decoders.{config.classifier_level - 1}.hidden.4.0.weight"
    old, new = (weights[name].flatten(1).norm(dim=1) for weights in (before, donor))
    return _divided(state, config, old / new) | {
        name: value for name, value in donor.items() if name.startswith(CLASSIFIER)
    }


def _divided(state: dict[str, Tensor], config: Config, size: Tensor) -> dict[str, Tensor]:
    """Divide each channel that the classifier reads by its `size`, and multiply the weights that read it."""
    state = {name: value.clone() for name, value in state.items()}
    decoder = f"motion.decoders.{config.classifier_level - 1}"
    state[f"{decoder}.hidden.4.0.weight"] /= size[:, None, None, None]
    state[f"{decoder}.hidden.4.0.bias"] /= size
    state[f"{decoder}.output.weight"] *= size[:, None, None, None]
    state[f"{CLASSIFIER}conv.0.weight"] *= size[None, :, None, None]
    return state


def _important(
    name: str, state: dict[str, Tensor], layers: dict[str, Part], before: dict[str, int], count: int
) -> Tensor:
    """Return the numbers of the channels of a group that are kept, sorted: all, or the `count` most important ones."""
    size = before[name]
    if count >= size:
        return torch.arange(size)
    incoming, outgoing = torch.zeros(size), torch.zeros(size)
    for layer, part in layers.items():
        weight = _matrix(state, layer).abs()
        if part.outputs == name:
            incoming += weight.flatten(1).sum(1)
        for group, piece in zip(part.inputs, _by_group(weight, part, before), strict=True):
            if group == name:
                outgoing += piece.transpose(0, 1).flatten(1).sum(1)
    return (incoming * outgoing).topk(count).indices.sort().values


def _matrix(state: dict[str, Tensor], layer: str) -> Tensor:
    """Return the weight of a layer as (outputs, inputs, ...) in float32. A transposed convolution stores inputs first.

    If the stored weight is float32, the result is a view of it.
    """
    weight = state[f"{layer}.weight"].float()
    return weight.transpose(0, 1) if layer.endswith(".output") else weight


def _by_group(matrix: Tensor, part: Part, counts: dict[str, int]) -> tuple[Tensor, ...]:
    """Return views of a matrix (outputs, inputs, ...): the columns of each group that the layer reads."""
    return matrix.split([counts[group] for group in part.inputs], dim=1)


def _channels(config: Config) -> dict[str, int]:
    """Return the number of channels of each group of `_layers`."""
    side = 2 * config.correlation + 1
    counts = {"rgb": 3, "seen": 8, "estimate": 5, "time": int(config.any_time), "low": 3, "bands": 9}
    counts |= {"matches": side**2 if config.correlation else 0, "ratios": len(config.ratios)}
    for level in range(1, 5):
        counts |= {f"{kind}{level}": config.encoder[level - 1] for kind in ("stride", "feature")}
        counts |= {f"hidden{level}.{number}": config.decoder[level - 1] for number in range(5)}
        counts |= {f"{kind}{level}": config.context[level - 1] for kind in ("context", "merged")}
        counts[f"synthesis{level}"] = config.synthesis[level - 1]
    judged = config.decoder[config.classifier_level - 1]
    return counts | {"pooled": judged, "judged": judged}


def _layers(config: Config) -> dict[str, Part]:
    """Return every layer with weights, and the groups of channels that it connects."""
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
    layers["motion.classifier.conv.0"] = Part("pooled", (f"hidden{config.classifier_level}.4",))
    layers["motion.classifier.linear.0"] = Part("judged", ("pooled",))
    layers["motion.classifier.linear.2"] = Part("ratios", ("judged",))
    return layers
