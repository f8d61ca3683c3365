"""Without the optional packages everything else works, and what needs one says which and how to get it."""

import sys

import pytest
import torch

import utils
from common import startup
from common.startup import MissingPackageError, require
from models import WaveletVFI


@pytest.fixture
def bare(monkeypatch):
    """An installation without the optional packages."""
    for name in ("safetensors", "safetensors.torch", "huggingface_hub", "onnxruntime", "onnx"):
        monkeypatch.setitem(sys.modules, name, None)


def test_a_module_that_is_there_is_returned():
    assert require("json", "nothing") is sys.modules["json"]


@pytest.mark.parametrize("kind", [ImportError, ValueError])
def test_a_missing_package_is_an_import_error_and_one_line_of_a_script(kind):
    with pytest.raises(kind, match=r"a test needs the package no_such_package, .* -r requirements-extra\.txt"):
        require("no_such_package.inside", "a test")


def test_installed_by_pip_the_message_names_the_package_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(startup, "ROOT", tmp_path)
    with pytest.raises(MissingPackageError, match=r"which is not installed: pip install no_such_package$"):
        require("no_such_package.inside", "a test")


def test_safetensors_says_that_it_is_missing(bare, tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(MissingPackageError, match=r"writing .*w\.safetensors needs the package safetensors"):
        utils.save_checkpoint(path, {"w": torch.ones(1)})
    path.write_bytes(b"")
    with pytest.raises(MissingPackageError, match=r"reading .*w\.safetensors needs the package safetensors"):
        utils.load_checkpoint(path)


def test_the_hub_says_that_it_is_missing(bare, small, tmp_path):
    calls = (
        lambda: WaveletVFI.from_pretrained(tmp_path),
        lambda: small.save_pretrained(tmp_path / "new"),
        lambda: small.push_to_hub("a/b"),
    )
    for call in calls:
        with pytest.raises(MissingPackageError, match="push_to_hub needs the package huggingface_hub"):
            call()
    assert not list(tmp_path.iterdir())
