"""torch.hub: the clone as it is, from any folder, without a download."""

import importlib.util
import sys

import pytest
import torch
from helpers.layers import MAY_IMPORT, files_of, imported
from helpers.runs import ROOT, finish, launch

import hubconf

ANYWHERE = """
import os, socket, torch
os.chdir({folder!r})
socket.socket.connect = lambda *_: exit("a download")
for _ in range(2):  # before the other modules are imported, and after
    model = torch.hub.load({root!r}, "waveletvfi", source="local", sparse="masked")
    from models.theirs import utils
frame = model.interpolate(torch.rand(1, 3, 20, 30), torch.rand(1, 3, 20, 30))
print(tuple(frame.shape), model.training, model.sparse, model.config.correction, utils.WHOSE)
if {huggingface}:
    model.save_pretrained("saved")
"""


def test_the_clone_loads_beside_modules_of_the_same_names(tmp_path):
    """`utils` and `models` are what the user's own project calls its modules too; they stay what they are."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "theirs.py").write_text("import utils")
    (tmp_path / "utils.py").write_text("WHOSE = 'theirs'")
    (tmp_path / "extras.py").write_text("raise SystemExit('the wrong module')")
    huggingface = importlib.util.find_spec("huggingface_hub") is not None
    script = ANYWHERE.format(folder=str(tmp_path), root=str(ROOT), huggingface=huggingface)
    printed = finish(launch("-c", script, PYTHONPATH="", TORCH_HOME=str(tmp_path)))
    assert printed.splitlines()[-1] == "(1, 3, 20, 30) False masked True theirs"
    assert (tmp_path / "saved" / "model.safetensors").is_file() == huggingface


def test_list_and_help_know_the_one_entry_point(tmp_path, monkeypatch):
    """They take no local source, so the clone lies where torch.hub keeps what it has downloaded."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    (tmp_path / "owner_waveletvfi_main").symlink_to(ROOT)
    options = {"trust_repo": True, "skip_validation": True}
    assert torch.hub.list("owner/waveletvfi:main", **options) == ["waveletvfi"]
    assert "img0, img1" in torch.hub.help("owner/waveletvfi:main", "waveletvfi", **options)


def test_dependencies_are_the_packages_that_the_network_imports():
    parts = {"models"}
    while not (below := set().union(*(MAY_IMPORT[part] for part in parts))) <= parts:
        parts |= below
    names = set().union(*(imported(path) for part in parts for path in files_of(part)))
    packages = {name for name in names if not name.startswith(".")} - sys.stdlib_module_names - set(MAY_IMPORT)
    assert packages - {"triton", "huggingface_hub"} == set(hubconf.dependencies)


def test_fresh_weights_and_files_are_taken_too(small, tmp_path):
    fresh = hubconf.waveletvfi(pretrained=False, config="small")
    assert type(fresh) is type(small) and fresh.config == small.config
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        hubconf.waveletvfi(str(tmp_path / "missing.pth"))
