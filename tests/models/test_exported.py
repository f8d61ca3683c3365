"""A graph in the network's place: the class that runs it, and the command line's way to it."""

import argparse

import numpy as np
import pytest
import torch
from PIL import Image

import export_onnx
import interpolate
from models.exported import OnnxModel
from models.loading import add_options, network, spell_out
from utils import run_script

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
from helpers.graphs import COST, make_graph

pytestmark = pytest.mark.extra


@pytest.fixture
def graph(tmp_path):
    return make_graph(tmp_path / "model.onnx", ratio=0.5)


def parse(line: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("input", nargs="*")
    add_options(parser)
    return parser.parse_args(spell_out(line.split()))


def test_everything_comes_by_the_names_of_the_network(graph):
    img0, img1 = torch.rand(2, 1, 3, 32, 32)
    output = OnnxModel(graph).interpolate_details(img0, img1)
    torch.testing.assert_close(output.frame, (img0 + img1) / 2)
    assert output.motion.flow_t1.shape == (1, 2, 32, 32)
    synthesis = output.candidates[0]
    assert [mask.shape[-1] for mask in synthesis.masks] == [16, 8, 4]
    assert [high.shape[-1] for high in synthesis.highs] == [16, 8, 4, 2]
    assert synthesis.cost.tolist() == [COST]
    assert float(output.published_gmacs) > 0


def test_frames_keep_their_dtype(graph):
    img0, img1 = torch.rand(2, 1, 3, 32, 32, dtype=torch.float64)
    assert OnnxModel(graph).interpolate(img0, img1).dtype == torch.float64


@pytest.mark.parametrize("options", [{"ratio": 0.25}, {"budget": 0.5}])
def test_only_the_graphs_own_ratio_can_be_asked_for(graph, tmp_path, options):
    img0, img1 = torch.rand(2, 1, 3, 32, 32)
    assert torch.equal(OnnxModel(graph).interpolate(img0, img1, ratio=0.5), OnnxModel(graph).interpolate(img0, img1))
    with pytest.raises(ValueError, match=r"model\.onnx was made with ratio 0\.5 and takes no other"):
        OnnxModel(graph).interpolate(img0, img1, **options)
    free = OnnxModel(make_graph(tmp_path / "free.onnx"))
    with pytest.raises(ValueError, match="was made with the network's choice of ratio and takes no other"):
        free.interpolate(img0, img1, **options)


def test_bad_frames_are_refused_in_the_networks_words(graph):
    with pytest.raises(ValueError, match=r"img0 must be \(B, 3, H, W\)"):
        OnnxModel(graph).interpolate(*torch.rand(2, 3, 32, 32))


def test_bad_graphs_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no graph at .*missing\.onnx"):
        OnnxModel(tmp_path / "missing.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"bad\.onnx is not a graph that ONNX Runtime reads"):
        OnnxModel(tmp_path / "bad.onnx")
    with pytest.raises(ValueError, match=r"other\.onnx is a graph, but not of this network"):
        OnnxModel(make_graph(tmp_path / "other.onnx", metadata=False))


def test_a_device_that_onnxruntime_lacks_is_named(graph):
    with pytest.raises(ValueError, match="onnxruntime cannot use meta here"):
        OnnxModel(graph, "meta")


@pytest.mark.parametrize("form", ["--device onnx {}", "--device=onnx {}", "--device onnx --checkpoint {}"])
@pytest.mark.parametrize("rest", ["", " --output x"])
def test_a_graph_follows_the_device(graph, form, rest):
    args = spell_out(f"clip {form.format(graph)}{rest}".split())
    assert args[args.index("--checkpoint") + 1] == str(graph)
    model = network(parse(form.format(graph)), torch.device("cpu"))
    assert isinstance(model, OnnxModel)


def test_other_arguments_stay_as_they_are(monkeypatch):
    words = ["a.onnx", "--device", "cpu", "b.onnx", "--device", "onnx"]
    assert spell_out(words) == words
    monkeypatch.setattr("sys.argv", ["interpolate.py", *words])
    assert spell_out(None) == words


@pytest.mark.parametrize("option", ["--precision bf16", "--sparse masked", "--compile"])
def test_what_a_graph_has_decided_cannot_be_asked_for(graph, option):
    with pytest.raises(ValueError, match="were decided when it was made"):
        network(parse(f"--checkpoint {graph} {option}"), torch.device("cpu"))


def test_the_device_onnx_needs_a_graph():
    with pytest.raises(ValueError, match=r"--device onnx needs a graph, got .*\.pth"):
        network(parse("--device onnx"), torch.device("cpu"))


def test_interpolate_runs_a_graph(graph, tmp_path):
    images = [np.full((32, 32, 3), value, np.uint8) for value in (40, 80)]
    for name, image in zip("ab", images, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    middle = tmp_path / "middle.png"
    words = f"{tmp_path}/a.png {tmp_path}/b.png --output {middle} --device onnx {graph}".split()
    run_script(interpolate.main, interpolate.parse_args(spell_out(words)))
    with Image.open(middle) as image:
        assert np.asarray(image).mean() == 60


@pytest.mark.parametrize(
    ("output", "kind", "message"),
    [("a.bin", ValueError, r"a\.bin: unknown kind '\.bin'; use \.onnx or \.pt2"), ("model.onnx", OSError, "exists")],
)
def test_an_export_checks_its_output_first(graph, output, kind, message):
    args = export_onnx.parse_args(["--output", str(graph.parent / output)])
    with pytest.raises(kind, match=message):
        export_onnx.main(args)


def test_an_export_that_is_not_the_network_is_refused(graph, small, monkeypatch):
    monkeypatch.setattr(export_onnx, "SIZES", ((1, 32, 32),))
    with pytest.raises(ValueError, match=r"the graph is not the network: .*% of a frame of 32x32 differ"):
        export_onnx.compare(small, graph, ratio=0.5, tolerance=1e-4)
