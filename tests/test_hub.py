"""torch.hub: the clone as it is, from any folder, without a download."""

import sys
from types import ModuleType

import pytest
import torch
from runs import ROOT, finish, launch
from test_layering import MAY_IMPORT, files_of, imported

import hubconf

ANYWHERE = """
import os, socket, torch
os.chdir({folder!r})
socket.socket.connect = lambda *_: exit("a download")
model = torch.hub.load({root!r}, "waveletvfi", source="local", sparse="masked")
frame = model.interpolate(torch.rand(1, 3, 20, 30), torch.rand(1, 3, 20, 30))
print(tuple(frame.shape), model.training, model.sparse, model.config.correction)
"""


def test_the_clone_loads_from_a_folder_with_modules_of_the_same_names(tmp_path):
    """`utils` and `models` are what the user's own project calls its modules too."""
    for name in ("utils.py", "models.py", "extras.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    script = ANYWHERE.format(folder=str(tmp_path), root=str(ROOT))
    printed = finish(launch("-c", script, PYTHONPATH="", TORCH_HOME=str(tmp_path)))
    assert printed.splitlines()[-1] == "(1, 3, 20, 30) False masked True"


def test_list_and_help_know_the_one_entry_point(tmp_path, monkeypatch):
    """They take no local source, so the clone lies where torch.hub keeps what it has downloaded."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "owner_waveletvfi_main").symlink_to(ROOT)
    options = {"trust_repo": True, "skip_validation": True}
    assert torch.hub.list("owner/waveletvfi:main", **options) == ["waveletvfi"]
    assert "img0, img1" in torch.hub.help("owner/waveletvfi:main", "waveletvfi", **options)


def test_dependencies_are_the_packages_that_the_network_imports():
    parts = ("extras", "models", "pytorch_wavelets", "utils", "weight_files")
    names = set().union(*(imported(path) for part in parts for path in files_of(part)))
    packages = {name for name in names if not name.startswith(".")} - sys.stdlib_module_names - set(MAY_IMPORT)
    assert packages - {"triton", "huggingface_hub"} == set(hubconf.dependencies)


def test_fresh_weights_and_files_are_taken_too(small, tmp_path):
    assert hubconf.waveletvfi(pretrained=False, config="small").config == small.config
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        hubconf.waveletvfi(str(tmp_path / "missing.pth"))


def test_another_module_of_the_same_name_is_named(monkeypatch, tmp_path):
    other = ModuleType("utils")
    other.__file__ = str(tmp_path / "utils.py")
    monkeypatch.setitem(sys.modules, "utils", other)
    with pytest.raises(ImportError, match=r"another module named 'utils' \(.*utils\.py\); load waveletvfi before it"):
        hubconf.waveletvfi()
