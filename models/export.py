"""Export the network as a graph that runs without this source: a program of torch.export, or ONNX."""

import copy
import dataclasses
import json
import os
import re
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

import utils
from common.startup import require

from .config import AUTO, Config, full_scales, repeated
from .exported import METADATA, Graph, named
from .layers import MULTIPLE, pad_to_multiple
from .macs import LEVELS
from .waveletvfi import WaveletVFI

OPSET = 20
INPUTS = ["img0", "img1", "t"]
GRAPH_SCALES = (2, 1, 0)  # scales of the passes in a graph if the configuration says "auto"
EXAMPLE = 90, 70  # height and width of the traced frames: any size that is no multiple of 16
LARGEST = 8192  # pixels per side that a program takes
AXES = {0: "batch", 2: "height", 3: "width"}
ONNX_STEPS = ("tracing the network", "translating it to ONNX", "writing the file")
PROGRAM_STEPS = ("tracing the network", "writing the file")
OnStep = Callable[[str], object]
PRECISIONS = {"float32": torch.float32, "fp16": torch.float16}


class Traced(nn.Module):
    """The network in the form that torch.export traces: tensors in, a dictionary of tensors out.

    Args:
        model: the network.
        ratio: threshold ratio, or None for the classifier's choice.
        pads: True to take frames of any size, as `WaveletVFI.interpolate` does; False to take multiples of 16.
    """

    def __init__(self, model: WaveletVFI, ratio: float | None, *, pads: bool):
        super().__init__()
        self.model, self.ratio, self.pads = model, ratio, pads

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor | None = None) -> dict[str, Tensor]:
        """Make the frame at time t. Return the tensors of `exported.NAMES`.

        Args:
            img0, img1: (B, 3, H, W) in [0, 1].
            t: (B,) times in (0, 1), if the weights take them.
        Returns:
            `frame` has the size of the inputs; the others have the padded size.
        """
        height, width = img0.shape[-2:]
        if self.pads:
            img0, img1 = (pad_to_multiple(image, MULTIPLE) for image in (img0, img1))
        output = self.model(img0, img1, ratio=self.ratio, t=t)
        return named(output._replace(frame=output.frame[..., :height, :width] if self.pads else output.frame))


def save_onnx(
    model: WaveletVFI,
    path: str | os.PathLike[str],
    *,
    ratio: float | None = None,
    precision: str = "float32",
    on_step: OnStep = lambda name: None,
) -> None:
    """Write an ONNX graph. It takes frames of any batch and size and returns the tensors of `exported.NAMES`.

    The inputs are img0 and img1, (B, 3, H, W) float32 in [0, 1]. Weights that make any time have a third input, t (B,).
    The axes are named batch, height and width; those of padded frames are padded_height, height_level1, and so on.
    MP-Net's passes are those of the configuration. If that says "auto", they are `GRAPH_SCALES`, with repeats as
    configured, because a graph cannot choose them by the frame's size.

    Args:
        model: the network.
        path: the file to write.
        ratio: threshold ratio of the graph; 0 is the static network. Default: the classifier's choice per sample.
        precision: number type of the convolutions, one of `PRECISIONS`. Positions and masks are always float32.
        on_step: called with each name of `ONNX_STEPS` when that step begins. All steps take about a minute.
    Raises:
        OSError: the file cannot be written.
        ValueError: the precision is unknown, the ratio is negative, or the package onnx is missing.
    """
    for package in ("onnx", "onnxscript"):
        require(package, "ONNX export")
    on_step(ONNX_STEPS[0])
    program = _program(model, ratio, precision, pads=True)
    outputs = list(program.call_spec.out_spec.context)
    inputs = INPUTS if model.config.any_time else INPUTS[:2]
    on_step(ONNX_STEPS[1])
    graph: Any = torch.onnx.export(
        program, (), dynamo=True, opset_version=OPSET, verbose=False, input_names=inputs, output_names=outputs
    )
    graph.model.metadata_props[METADATA] = _described(model, ratio, precision)
    on_step(ONNX_STEPS[2])
    content = graph.model_proto
    _name_axes(content.graph)
    with utils.atomic_path(path) as temporary:
        temporary.write_bytes(content.SerializeToString())


def save_program(
    model: WaveletVFI,
    path: str | os.PathLike[str],
    *,
    ratio: float | None = None,
    precision: str = "float32",
    on_step: OnStep = lambda name: None,
) -> None:
    """Write a program for the CPU that `torch.export.load(path).module()` reads without this source.

    The program takes img0 and img1, (B, 3, H, W) float32 in [0, 1]. H and W are multiples of `program_multiple`, and at
    least three times as large. It takes t as in `save_onnx`, and returns a dictionary with the names `exported.NAMES`.

    The arguments and errors are those of `save_onnx`. `on_step` gets the names of `PROGRAM_STEPS`.
    """
    on_step(PROGRAM_STEPS[0])
    program = _program(model, ratio, precision, pads=False).run_decompositions({})
    on_step(PROGRAM_STEPS[1])
    with utils.atomic_path(path) as temporary:
        torch.export.save(program, temporary, extra_files={f"{METADATA}.json": _described(model, ratio, precision)})


def _program(model: WaveletVFI, ratio: float | None, precision: str, *, pads: bool) -> torch.export.ExportedProgram:
    if precision not in PRECISIONS:
        raise ValueError(f"a graph's precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    model = copy.deepcopy(model).to("cpu", PRECISIONS[precision]).requires_grad_(False).eval()
    model.config = graph_config(model.config)
    model.sparse = "folded"
    batch = torch.export.Dim("batch", min=1, max=1024)
    if pads:  # the solver of named sizes does not see that every size is possible
        shape: dict[int, Any] = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
        example = EXAMPLE
    else:
        multiple = program_multiple(model.config)
        sides = (torch.export.Dim(name, min=3, max=LARGEST // multiple) for name in ("rows", "columns"))
        shape = {0: batch} | {axis: multiple * side for axis, side in zip((2, 3), sides, strict=True)}
        example = 3 * multiple, 4 * multiple
    frames = tuple(torch.rand(2, 2, 3, *example))
    shapes: tuple[dict[int, Any], ...] = (shape, shape)
    if model.config.any_time:
        frames, shapes = (*frames, torch.tensor([0.25, 0.75])), (shape, shape, {0: shape[0]})
    with torch.enable_grad():  # without gradients, the network takes shortcuts that a graph cannot hold
        traced = Traced(model, ratio, pads=pads).eval()
        program = torch.export.export(traced, frames, dynamic_shapes=shapes, strict=False)
    return program


def program_multiple(config: Config) -> int:
    """Return the number of which the sides of a program's frames are multiples, so that no pass needs padding."""
    return MULTIPLE * 2 ** cast(tuple[int, ...], graph_config(config).passes)[0]


def graph_config(config: Config) -> Config:
    """Return the configuration of a graph: the same, with scales that do not depend on the frame's size."""
    passes = config.passes
    if isinstance(passes, tuple):
        return config
    scales = repeated(GRAPH_SCALES, config.repeats) if passes == AUTO else full_scales(int(passes))
    return dataclasses.replace(config, passes=scales)


def _name_axes(graph: Any) -> None:
    """Rename the axes of an ONNX graph, which torch.export calls by symbols such as s27."""
    symbols: dict[str, str] = {}
    for frame in graph.input:
        sizes = frame.type.tensor_type.shape.dim
        symbols |= {sizes[axis].dim_param: name for axis, name in AXES.items() if axis < len(sizes)}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = _axis_name(re.sub(r"\w+", lambda word: symbols.get(word[0], word[0]), size.dim_param))


def _axis_name(size: str) -> str:
    """Return a name for a computed size: "8*(((height + 15)//16))" becomes height_level1."""
    padded = re.fullmatch(r"(?:(\d+)\*)?\(+(height|width) \+ 15\)//16\)+", size)
    if not padded:
        return size
    level = LEVELS - int(padded[1] or 1).bit_length() + 1
    return f"{padded[2]}_level{level}" if level else f"padded_{padded[2]}"


def _described(model: WaveletVFI, ratio: float | None, precision: str) -> str:
    graph = Graph(dataclasses.asdict(graph_config(model.config)), ratio, precision)
    return json.dumps(graph._asdict())
