"""Checkpoints in safetensors: the same content, the same errors."""

import dataclasses
import json

import pytest
import torch
from helpers.reference import frames, known_state_dict
from helpers.runs import TINY

import utils
from models import WaveletVFI, save_weights, waveletvfi

safetensors = pytest.importorskip("safetensors.torch")
from safetensors import SafetensorError, safe_open  # noqa: E402

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def tiny() -> WaveletVFI:
    torch.manual_seed(0)
    return WaveletVFI(TINY).eval()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_saved_network_comes_back_with_its_configuration(tiny, tmp_path, suffix):
    save_weights(tiny, tmp_path / f"w{suffix}")
    model = waveletvfi(tmp_path / f"w{suffix}")
    assert model.config == tiny.config
    img0, img1 = frames()
    torch.testing.assert_close(model.interpolate(img0, img1), tiny.interpolate(img0, img1), atol=0, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == [f"w{suffix}"]


def test_released_names_load_from_safetensors(known_model, tmp_path):
    safetensors.save_file(known_state_dict(), tmp_path / "released.safetensors")
    model = waveletvfi(tmp_path / "released.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), known_model.parameters(), strict=True))


def test_every_entry_that_json_can_hold_comes_back(tmp_path):
    weights = {"module.w": torch.arange(6.0).view(2, 3).T, "half": torch.ones(2, dtype=torch.bfloat16)}
    state = {"model": weights, "config": {"ratios": [0.0, 5e-5]}, "step": 3, "name": "plain text"}
    utils.save_checkpoint(tmp_path / "w.safetensors", state)
    loaded = utils.load_checkpoint(tmp_path / "w.safetensors")
    assert {key: value for key, value in loaded.items() if key != "model"} == {
        key: value for key, value in state.items() if key != "model"
    }
    assert loaded["model"]["half"].dtype == torch.bfloat16
    torch.testing.assert_close(loaded["model"]["w"], weights["module.w"], atol=0, rtol=0)


def test_weights_that_share_memory_are_written(tmp_path):
    whole = torch.arange(4.0)
    utils.save_checkpoint(tmp_path / "w.safetensors", {"a": whole, "b": whole[1:]})
    assert utils.load_checkpoint(tmp_path / "w.safetensors")["model"]["b"].tolist() == [1, 2, 3]


def test_text_that_is_not_ours_is_kept_as_it_is(tmp_path):
    safetensors.save_file({"w": torch.ones(1)}, tmp_path / "w.safetensors", metadata={"title": "A title", "model": "x"})
    loaded = utils.load_checkpoint(tmp_path / "w.safetensors")
    assert loaded["title"] == "A title"
    assert list(loaded["model"]) == ["w"]


@pytest.mark.parametrize("state", [{"model": {"w": 1}}, {"model": {}, "optimizer": {"s": torch.ones(1)}}, {"w": 1}])
def test_what_safetensors_cannot_hold_is_refused_and_nothing_is_written(tmp_path, state):
    with pytest.raises(ValueError, match=r"holds weights and what JSON can say, not (w|optimizer); write a \.pth file"):
        utils.save_checkpoint(tmp_path / "w.safetensors", state)
    assert not list(tmp_path.iterdir())


def test_missing_truncated_and_empty_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*w\.safetensors"):
        utils.load_checkpoint(tmp_path / "w.safetensors")
    utils.save_checkpoint(tmp_path / "w.safetensors", {"w": torch.ones(500)})
    whole = (tmp_path / "w.safetensors").read_bytes()
    for content in (b"", b"text", whole[:10], whole[:-8], whole + b"more"):
        (tmp_path / "b.safetensors").write_bytes(content)
        with pytest.raises(ValueError, match=r"b\.safetensors is not a checkpoint"):
            utils.load_checkpoint(tmp_path / "b.safetensors")
    safetensors.save_file({}, tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match=r"none\.safetensors holds no state dict"):
        utils.load_checkpoint(tmp_path / "none.safetensors")


def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch):
    def full(*args, **options):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(safetensors, "save_file", full)
    with pytest.raises(OSError, match=r"cannot write .*w\.safetensors: No space left"):
        utils.save_checkpoint(tmp_path / "w.safetensors", {"w": torch.ones(1)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("config", [3, {"depth": 4}, {"encoder": 5}, {"ratios": []}])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_configuration_of_another_network_is_named(tiny, tmp_path, config, suffix):
    state = {"model": tiny.state_dict(), "config": config}
    utils.save_checkpoint(tmp_path / f"w{suffix}", state)
    with pytest.raises(ValueError, match=r"w\..* contains a configuration of another network"):
        waveletvfi(tmp_path / f"w{suffix}")


def test_other_programs_find_the_configuration_as_json(tiny, tmp_path):
    save_weights(tiny, tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", framework="np") as file:
        config = json.loads(file.metadata()["config"])
    assert config["synthesis"] == list(dataclasses.asdict(tiny.config)["synthesis"])


def test_no_changed_byte_loads_unnoticed_and_files_without_a_checksum_load(tmp_path):
    weights = {"w": torch.arange(5.0), "half": torch.ones(3, dtype=torch.bfloat16), "whole": torch.tensor(3)}
    state = {"model": weights, "config": {"ratio": 0.01}}
    utils.save_checkpoint(tmp_path / "a.safetensors", state)
    whole = (tmp_path / "a.safetensors").read_bytes()
    told = 0
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :]
        (tmp_path / "b.safetensors").write_bytes(changed)
        try:
            loaded = utils.load_checkpoint(tmp_path / "b.safetensors")
        except ValueError as error:
            told += "b.safetensors is damaged: its content does not fit its checksum; copy or" in str(error)
            continue
        assert loaded["config"] == state["config"] and loaded["model"].keys() == weights.keys()
        assert all(torch.equal(loaded["model"][name], value) for name, value in weights.items())
    assert told >= 34  # at least every byte of the values
    with safe_open(tmp_path / "a.safetensors", framework="pt") as opened:
        texts = {key: text for key, text in opened.metadata().items() if key != "sha256"}
    safetensors.save_file(weights, tmp_path / "old.safetensors", metadata=texts)
    assert utils.load_checkpoint(tmp_path / "old.safetensors")["config"] == state["config"]
