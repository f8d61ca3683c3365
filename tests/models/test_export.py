"""Graphs of the network give what the network gives, in ONNX Runtime and without this source."""

import dataclasses
import os
import re
import subprocess
import sys

import pytest
import torch
from helpers.reference import images
from helpers.runs import ROOT, finish, launch

from datasets.clips import EXAMPLE, decode_clip
from models import CONFIGS, WaveletVFI, default_checkpoint, waveletvfi
from models.export import graph_config, save_onnx, save_program
from models.exported import NAMES, OnnxModel

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
pytestmark = [pytest.mark.slow, pytest.mark.extra]

RATIO = 0.003


@pytest.fixture(scope="module")
def timed() -> WaveletVFI:
    """With all inputs that a configuration may have, and heads that do something."""
    torch.manual_seed(1)
    model = WaveletVFI(dataclasses.replace(CONFIGS["small"], any_time=True, correlation=1, passes=(1, 0))).eval()
    for head in (model.synthesis.low_head, *model.synthesis.high_heads):
        torch.nn.init.normal_(head.weight, std=0.003)
    return model


@pytest.fixture(scope="module")
def graph(timed, tmp_path_factory) -> OnnxModel:
    """With the classifier's choice of ratio, of which there are several."""
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    save_onnx(timed, path)
    return OnnxModel(path)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> tuple[OnnxModel, str]:
    """The static network with the shipped weights, as the script makes it; and what that prints."""
    output = tmp_path_factory.mktemp("shipped") / "static.onnx"
    printed = finish(launch(str(ROOT / "export_onnx.py"), "--output", str(output), "--ratio", "0"), timeout=900)
    return OnnxModel(output), printed


def test_the_axes_of_a_graph_have_names(graph):
    """Inputs and outputs; and no size anywhere is left as a symbol of torch.export."""
    whole = onnx.load(graph.path).graph
    known = [*whole.input, *whole.output, *whole.value_info]
    sizes = {value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in known}
    assert sizes["img0"] == sizes["img1"] == sizes["frame"] == ["batch", 3, "height", "width"]
    assert sizes["t"] == ["batch"]
    assert sizes["flow_t0"] == ["batch", 2, "padded_height", "padded_width"]
    for level in (1, 2, 3, 4):
        assert sizes[f"high{level}"] == ["batch", 3, 3, f"height_level{level}", f"width_level{level}"]
    assert sizes["cost"] == ["batch"]
    assert not any(re.search(r"\bs\d+\b", str(size)) for shape in sizes.values() for size in shape)


@pytest.mark.parametrize("size", [(1, 1, 5), (1, 16, 16), (2, 17, 50), (3, 64, 96), (1, 100, 130), (1, 256, 448)])
def test_onnx_equals_torch_for_any_batch_size_and_time(graph, timed, size):
    img0, _, img1 = images(*size)
    for options in ({}, {"t": torch.rand(size[0]) * 0.8 + 0.1}):
        ours, expected = (model.interpolate_details(img0, img1, **options) for model in (graph, timed))
        torch.testing.assert_close(ours.frame, expected.frame, atol=1e-4, rtol=0)
        torch.testing.assert_close(ours.motion, expected.motion, atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(ours.published_gmacs, expected.published_gmacs)
        for mask, other in zip(ours.candidates[0].masks, expected.candidates[0].masks, strict=True):
            torch.testing.assert_close(mask, other, atol=0, rtol=0)
        torch.testing.assert_close(ours.candidates[0].ratio, expected.candidates[0].ratio)


def test_a_graph_takes_no_time_outside_of_the_pair(graph):
    with pytest.raises(ValueError, match="t must lie between 0 and 1"):
        graph.interpolate(*torch.rand(2, 1, 3, 16, 16), t=1.5)


def test_onnx_equals_torch_on_real_frames(shipped):
    """Trained weights and 230,400 pixels, over which a mean in one sum is off by more than the flow can bear."""
    img0, img1 = (frame[None].float() / 255 for frame in decode_clip(EXAMPLE, 16)[13::2])
    ours = shipped[0].interpolate_details(img0, img1)
    model = waveletvfi(default_checkpoint())
    expected = model.interpolate_details(img0, img1, ratio=0.0, passes=graph_config(model.config).passes)
    difference = (ours.frame - expected.frame).abs()
    assert float(difference.mean()) < 1e-6  # a wrong sum shows everywhere, another order of summation in few pixels
    assert float(difference.max()) < 1e-4
    torch.testing.assert_close(ours.motion.flow_t0, expected.motion.flow_t0, atol=2e-4, rtol=0)


def test_half_precision_keeps_masks_and_positions_in_float32(small, tmp_path):
    save_onnx(small, tmp_path / "half.onnx", ratio=RATIO, precision="fp16")
    whole = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "half.onnx"))
    known = [*whole.graph.value_info, *whole.graph.input, *whole.graph.output]
    kinds = {value.name: value.type.tensor_type.elem_type for value in known}
    kinds |= {constant.name: constant.data_type for constant in whole.graph.initializer}
    half, full = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    convolutions = [node for node in whole.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    assert {kinds[node.input[1]] for node in convolutions} == {half}
    decided = [node for node in whole.graph.node if node.op_type in ("Greater", "GridSample")]
    assert {kinds[name] for node in decided for name in node.input} == {full}
    img0, _, img1 = images(2, 64, 96)
    frame = OnnxModel(tmp_path / "half.onnx").interpolate(img0, img1)
    expected = small.interpolate(img0, img1, ratio=RATIO, passes=graph_config(small.config).passes)
    assert float((frame - expected).abs().mean()) < 1e-3


WITHOUT_SOURCE = """
import sys, torch
program = torch.export.load(sys.argv[1]).module()
frames = torch.load(sys.argv[2])
torch.save([program(*inputs) for inputs in frames], sys.argv[3])
assert not {'models', 'utils', 'pytorch_wavelets'} & set(sys.modules)
"""


def test_a_program_runs_without_this_source(small, tmp_path):
    save_program(small, tmp_path / "model.pt2", ratio=RATIO)
    frames = [
        (*images(*size)[::2], torch.full((size[0],), 0.5)) for size in ((1, 192, 192), (3, 192, 320), (1, 256, 448))
    ]
    torch.save(frames, tmp_path / "frames.pth")
    empty = tmp_path / "empty"
    empty.mkdir()
    files = [str(tmp_path / name) for name in ("model.pt2", "frames.pth", "out.pth")]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", WITHOUT_SOURCE, *files], cwd=empty, env=environment, check=True)
    for (img0, img1, _), outputs in zip(frames, torch.load(tmp_path / "out.pth"), strict=True):
        assert list(outputs) == list(NAMES)
        torch.testing.assert_close(
            outputs["frame"],
            small.interpolate(img0, img1, ratio=RATIO, passes=graph_config(small.config).passes),
            atol=1e-4,
            rtol=0,
        )


def test_the_script_exports_the_shipped_weights_and_compares(shipped):
    graph, printed = shipped
    assert f"{graph.path}: waveletvfi_small.pth" in printed
    steps = [line for line in printed.splitlines() if line.startswith("step ")]
    assert steps[0] == "step 1 of 4: tracing the network" and steps[-1].startswith("step 4 of 4: comparing")
    assert graph.ratio == 0


def test_an_unknown_precision_is_refused(small, tmp_path):
    with pytest.raises(ValueError, match="precision must be one of float32, fp16, got 'bf16'"):
        save_onnx(small, tmp_path / "a.onnx", precision="bf16")
