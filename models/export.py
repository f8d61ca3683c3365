"""The network as a graph that runs without this source: torch.export's program, or ONNX."""

import copy
import dataclasses
import os
import re
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

import utils
from common.extras import require

from .config import Config
from .exported import METADATA, Graph, named
from .layers import MULTIPLE, pad_to_multiple
from .macs import LEVELS
from .passes import AUTO, full_scales
from .waveletvfi import WaveletVFI
from .weights import checkpoint_of

OPSET = 20
INPUTS = ["img0", "img1", "t"]
GRAPH_SCALES = (2, 1, 0)  # for "auto"
EXAMPLE = 90, 70  # any size that is no multiple of 16; torch.export follows the shapes, not the numbers
LARGEST = 8192  # pixels per side in a program
AXES = {0: "batch", 2: "height", 3: "width"}
ONNX_STEPS = ("tracing the network", "translating it to ONNX", "writing the file")
PROGRAM_STEPS = ("tracing the network", "writing the file")
OnStep = Callable[[str], object]
PRECISIONS = {"float32": torch.float32, "fp16": torch.float16}


class Traced(nn.Module):
    """The network as torch.export sees it: two tensors in, named tensors out, everything computed, one ratio.

    pads: take frames of any size, as `WaveletVFI.interpolate` does; else multiples of 16.
    """

    def __init__(self, model: WaveletVFI, ratio: float | None, *, pads: bool):
        super().__init__()
        self.model, self.ratio, self.pads = model, ratio, pads

    def forward(self, img0: Tensor, img1: Tensor, t: Tensor | None = None) -> dict[str, Tensor]:
        """Two frames (B, 3, H, W) in [0, 1] -> `exported.NAMES`: the frame of their size, the rest padded.

        t: (B,) times in (0, 1), of a network that takes them.
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
    """Write an ONNX graph: img0, img1 (B, 3, H, W) float32 in [0, 1] of any batch and size -> `exported.NAMES`.

    Its axes are named batch, height and width; padded_height, height_level1, ... those of the padded frame. Weights
    that make any time have a third input, t (B,). MP-Net's passes are those of the configuration, `GRAPH_SCALES` for
    "auto", for frames of every size: a graph cannot choose by it.

    Args:
        ratio: the graph's threshold ratio, 0 for the static network. Default: the classifier's choice per sample.
        precision: of the convolutions, one of `PRECISIONS`; positions and masks are float32 in any case.
        on_step: called with the name of each of `ONNX_STEPS` as it begins; all take about a minute.
    Raises:
        OSError: the file cannot be written. ValueError: unknown precision, ratio < 0, the package onnx is missing.
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
    """Write a program that `torch.export.load(path).module()` reads without this source, on the CPU.

    img0, img1: (B, 3, H, W) float32 in [0, 1], B >= 1; H and W multiples of `program_multiple`, at least three times
    it; t as in `save_onnx` -> a dict, `exported.NAMES`. Arguments, errors as in `save_onnx`, with `PROGRAM_STEPS`.
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
    if pads:  # every size; the solver of named sizes does not see that
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
    with torch.enable_grad():  # operations are counted where there are no gradients, and counting is no part of a graph
        traced = Traced(model, ratio, pads=pads).eval()
        program = torch.export.export(traced, frames, dynamic_shapes=shapes, strict=False)
    return program


def program_multiple(config: Config) -> int:
    """Return the number of pixels that a program's frames are multiples of: the first pass then needs no padding."""
    return MULTIPLE * 2 ** cast(tuple[int, ...], graph_config(config).passes)[0]


def graph_config(config: Config) -> Config:
    """Return the configuration of a graph: the same with scales that do not depend on the frame's size."""
    passes = config.passes
    if isinstance(passes, tuple):
        return config
    scales = GRAPH_SCALES if passes == AUTO else full_scales(int(passes))
    return dataclasses.replace(config, passes=scales)


def _name_axes(graph: Any) -> None:
    """Name the axes of an ONNX graph, for whose sizes torch.export has symbols such as s27, as their users do."""
    symbols: dict[str, str] = {}
    for frame in graph.input:
        sizes = frame.type.tensor_type.shape.dim
        symbols |= {sizes[axis].dim_param: name for axis, name in AXES.items() if axis < len(sizes)}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = _axis_name(re.sub(r"\w+", lambda word: symbols.get(word[0], word[0]), size.dim_param))


def _axis_name(size: str) -> str:
    """Return the name of a size that follows from another: "8*(((height + 15)//16))" is height_level1."""
    padded = re.fullmatch(r"(?:(\d+)\*)?\(+(height|width) \+ 15\)//16\)+", size)
    if not padded:
        return size
    level = LEVELS - int(padded[1] or 1).bit_length() + 1
    return f"{padded[2]}_level{level}" if level else f"padded_{padded[2]}"


def _described(model: WaveletVFI, ratio: float | None, precision: str) -> str:
    return Graph(checkpoint_of({}, graph_config(model.config))["config"], ratio, precision).to_json()
