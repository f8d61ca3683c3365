"""Networks from files: every kind of checkpoint, and the ways to compute."""

import argparse
import dataclasses
import sys

import pytest
import torch
from helpers.reference import frames, known_state_dict
from helpers.runs import TINY

import utils
from models import WaveletVFI, default_checkpoint, waveletvfi
from models.loading import add_options, choose_precision, network
from models.weights import save_weights, to_official


@pytest.mark.parametrize("kind", ["ours", "plain", "released", "released with module."])
def test_every_kind_of_checkpoint_loads_to_the_same_network(known_model, tmp_path, kind):
    released = known_state_dict() | {"idwt.g0_col": torch.ones(1, 1, 2, 1)}
    content = {
        "ours": {"model": known_model.state_dict(), "config": dataclasses.asdict(known_model.config)},
        "plain": dict(known_model.state_dict()),
        "released": released,
        "released with module.": {f"module.{name}": value for name, value in released.items()},
    }[kind]
    utils.save_checkpoint(tmp_path / "weights.pth", content)
    model = waveletvfi(tmp_path / "weights.pth")
    assert not model.training
    img0, img1 = frames()
    torch.testing.assert_close(model.interpolate(img0, img1), known_model.interpolate(img0, img1), atol=0, rtol=0)


def test_the_configuration_travels_in_the_checkpoint(tmp_path, small):
    config = dataclasses.replace(small.config, ratios=(0.0, 0.25))
    model = WaveletVFI(config)
    utils.save_checkpoint(tmp_path / "w.pth", {"model": model.state_dict(), "config": dataclasses.asdict(config)})
    assert waveletvfi(tmp_path / "w.pth").config == config


def test_weights_of_another_configuration_or_project_are_refused(tmp_path, small):
    utils.save_checkpoint(tmp_path / "small.pth", small.state_dict())
    with pytest.raises(ValueError, match=r"small\.pth does not fit this network .*motion\.encoder"):
        waveletvfi(tmp_path / "small.pth")
    utils.save_checkpoint(tmp_path / "foreign.pth", {"layer.weight": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"foreign\.pth does not fit this network"):
        waveletvfi(tmp_path / "foreign.pth")


def test_missing_and_surplus_weights_are_refused(tmp_path, small):
    weights = dict(small.state_dict())
    surplus = weights | {"surplus.weight": torch.zeros(1)}
    weights.pop("synthesis.low_head.bias")
    for content, name in ((weights, "low_head.bias"), (surplus, "surplus.weight")):
        utils.save_checkpoint(tmp_path / "w.pth", content)
        with pytest.raises(ValueError, match=name):
            waveletvfi(tmp_path / "w.pth", config="small")


def test_weights_that_are_not_numbers_are_refused(tmp_path, small):
    weights = {name: value.clone() for name, value in small.state_dict().items()}
    weights["synthesis.low_head.bias"][0] = float("nan")
    utils.save_checkpoint(tmp_path / "w.pth", weights)
    with pytest.raises(ValueError, match=r"NaN or infinite weights in synthesis\.low_head\.bias"):
        waveletvfi(tmp_path / "w.pth", config="small")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "precision must be one of float32, bf16, fp16, got 'int8'"),
        ({"precision": "fp16"}, "fp16 needs a GPU; on a CPU use bf16"),
        ({"sparse": "magic"}, "sparse must be one of"),
    ],
)
def test_unknown_ways_to_compute_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        waveletvfi(config="small", **options)


def test_precision_and_method_are_options_of_loading():
    model = waveletvfi(config="small", precision="bf16", sparse="folded")
    assert model.sparse == "folded"
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.interpolate(*frames()).dtype == torch.float32


def test_names_not_ours_do_not_map_back():
    with pytest.raises(KeyError, match="unknown"):
        to_official({"unknown.weight": torch.zeros(1)})


def test_the_default_checkpoint_prefers_the_released_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["models.loading"], "__file__", str(tmp_path / "models" / "loading.py"))
    with pytest.raises(FileNotFoundError, match="give --checkpoint"):
        default_checkpoint()
    (tmp_path / "checkpoints").mkdir()
    for name in ("waveletvfi_small.pth", "waveletvfi_latest.pth"):
        (tmp_path / "checkpoints" / name).touch()
        assert default_checkpoint().name == name


@pytest.mark.slow
def test_compiled_dense_parts_give_the_same_frame_without_a_graph_break(tmp_path, small):
    """`fullgraph` makes a break an error; names of weights stay as they are."""
    utils.save_checkpoint(tmp_path / "w.pth", small.state_dict())
    compiled = waveletvfi(tmp_path / "w.pth", config="small", compile=True)
    img0, img1 = frames()
    torch.testing.assert_close(compiled.interpolate(img0, img1), small.interpolate(img0, img1), atol=1e-4, rtol=0)
    assert compiled.state_dict().keys() == small.state_dict().keys()


@pytest.mark.parametrize(
    ("kind", "device", "expected"),
    [
        ("AVX-512 bf16", "cpu", "bf16"),
        ("AMX", "cpu", "bf16"),
        ("AVX2", "cpu", "float32"),
        ("something new", "cpu", "float32"),
        ("AVX-512 bf16", "cuda", "float32"),
    ],
)
def test_the_default_precision_is_bf16_where_the_cpu_computes_it(monkeypatch, kind, device, expected):
    monkeypatch.setattr("models.loading.processor", lambda: kind)
    assert choose_precision(device) == expected


def test_the_video_tool_takes_the_default_precision_and_benchmarks_float32(monkeypatch, tmp_path):
    monkeypatch.setattr("models.loading.processor", lambda: "AMX")
    save_weights(WaveletVFI(TINY), tmp_path / "tiny.pth")
    for options, given, expected in (
        ({"precision": "auto"}, [], torch.bfloat16),
        ({"precision": "auto"}, ["--precision", "float32"], torch.float32),
        ({}, [], torch.float32),
    ):
        parser = argparse.ArgumentParser()
        add_options(parser, **options)
        args = parser.parse_args(["--checkpoint", str(tmp_path / "tiny.pth"), *given])
        assert next(network(args, torch.device("cpu")).parameters()).dtype == expected
    with pytest.raises(SystemExit):
        parser.parse_args(["--precision", "auto"])
