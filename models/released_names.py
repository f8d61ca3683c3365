"""Translate between the names of the released weights and ours."""

from torch import Tensor

#: Buffers of the released file that hold fixed Haar filters. Ours are in the code.
FILTERS = tuple(f"waveletencoder.dwt.h{i}_{axis}" for i in (0, 1) for axis in ("col", "row")) + tuple(
    f"idwt.g{i}_{axis}" for i in (0, 1) for axis in ("col", "row")
)


def name_table() -> dict[str, str]:
    """Return our name for each released name of a layer with parameters."""
    table = {"conv4.0": "synthesis.coarsest.0", "conv4_l": "synthesis.low_head"}
    for level in (1, 2, 3, 4):
        i = level - 1
        for conv in (0, 1):
            table[f"ifnet.pconv{level}.{conv}.0"] = f"motion.encoder.levels.{i}.{conv}.0"
        for conv in (1, 2, 3, 4, 5):
            table[f"ifnet.decoder{level}.conv{conv}.0"] = f"motion.decoders.{i}.hidden.{conv - 1}.0"
        table[f"ifnet.decoder{level}.conv6"] = f"motion.decoders.{i}.output"
        table[f"contextnet.pconv1_{level}.0"] = f"context.frames.levels.{i}.0"
        table[f"contextnet.pconv2_{level}.0"] = f"context.merged.levels.{i}.0"
        table[f"conv{level}_h"] = f"synthesis.high_heads.{i}"
        if level < 4:
            table[f"conv{level}.0"] = f"synthesis.levels.{i}"
    for official, ours in (("0.0", "conv.0"), ("3", "linear.0"), ("5", "linear.2")):
        table[f"ifnet.decoder4.classifier.{official}"] = f"motion.classifier.{ours}"
    return table


def to_ours(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a released state dict to our names. Other names stay as they are.

    A leading `module.` and the filter buffers are removed. No tensor is changed.
    """
    table = name_table()
    renamed = {}
    for key, value in state_dict.items():
        name = key.removeprefix("module.")
        if name in FILTERS:
            continue
        layer, _, kind = name.rpartition(".")
        renamed[f"{table.get(layer, layer)}.{kind}"] = value
    return renamed


def to_official(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename our weights to the released names, without the filter buffers. Raises KeyError for an unknown name."""
    table = {ours: official for official, ours in name_table().items()}
    renamed = {}
    for key, value in state_dict.items():
        layer, _, kind = key.rpartition(".")
        renamed[f"{table[layer]}.{kind}"] = value
    return renamed
