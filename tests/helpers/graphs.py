"""A graph in the form of export_onnx.py that averages two 32x32 frames: made in no time, for tests of what runs it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from helpers.runs import MIDDLE
from models.exported import HIGHS, MASKS, METADATA, NAMES, Graph

COST = 0.25


def make_graph(path: Path, *, ratio: float | None = None, metadata: bool = True) -> Path:
    """Write the graph; metadata=False leaves out what it is."""
    side = {name: 32 >> level for names in (MASKS, HIGHS) for level, name in enumerate(names, 1)}
    fixed = {name: (1, 1, side[name], side[name]) for name in MASKS}
    fixed |= {name: (1, 3, 3, side[name], side[name]) for name in HIGHS}
    fixed |= {"flow_t0": (1, 2, 32, 32), "flow_t1": (1, 2, 32, 32), "occlusion": (1, 1, 32, 32), "low": (1, 3, 2, 2)}
    fixed |= {"ratio_logits": (1, 4), "cost": (1,), "executed": (1,), "ratio": (1,)}
    nodes = [
        helper.make_node("Add", ["img0", "img1"], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["frame"]),
        helper.make_node("Identity", ["frame"], ["merged"]),
    ]
    values = {name: np.full(shape, COST if name == "cost" else 0, np.float32) for name, shape in fixed.items()}
    constants = [numpy_helper.from_array(np.array(0.5, np.float32), "half")]
    for name, value in values.items():
        constants.append(numpy_helper.from_array(value, f"{name}_value"))
        nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
    frames = ["B", 3, "H", "W"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, frames) for name in ("img0", "img1")]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, fixed.get(n, frames)) for n in NAMES]
    graph = helper.make_graph(nodes, "average", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if metadata:
        settings = Graph(dataclasses.asdict(MIDDLE), ratio, "float32")
        helper.set_model_props(model, {METADATA: json.dumps(settings._asdict())})
    onnx.save(model, path)
    return path
