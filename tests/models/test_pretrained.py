"""`from_pretrained`, `save_pretrained`, `push_to_hub`: local folders, and a hub that answers from memory."""

import base64
import dataclasses
import json
import logging

import pytest
import torch
from helpers.reference import frames, known_state_dict
from helpers.runs import TINY

import utils
from models import WaveletVFI, waveletvfi

huggingface_hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
httpx = pytest.importorskip("httpx2")
pytest.importorskip("safetensors")
pytestmark = pytest.mark.extra

COMMIT, ENDPOINT = "0" * 40, constants.ENDPOINT


@pytest.fixture
def tiny() -> WaveletVFI:
    return WaveletVFI(TINY).eval()


def same(model: WaveletVFI, other: WaveletVFI) -> bool:
    img0, img1 = frames()
    return model.config == other.config and torch.equal(model.interpolate(img0, img1), other.interpolate(img0, img1))


def test_a_saved_folder_comes_back_as_the_same_network(tiny, tmp_path):
    assert tiny.save_pretrained(tmp_path / "new" / "folder") is None
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    model = WaveletVFI.from_pretrained(folder)
    assert type(model) is WaveletVFI and not model.training and same(model, tiny)
    assert same(waveletvfi(folder / "model.safetensors"), tiny)
    tiny.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["correction"] is True
    assert "license: mit" in (folder / "README.md").read_text()


@pytest.mark.parametrize("config", [TINY, "base", "small", dataclasses.replace(TINY, any_time=True, passes="auto")])
def test_the_model_card_is_filled_by_what_the_weights_are(config, tmp_path):
    model = WaveletVFI(config)
    model.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "More Information Needed" not in card and "{{" not in card and "{%" not in card
    count = sum(parameter.numel() for parameter in model.parameters())
    assert f"| parameters | {count / 1e6:.2f} million |" in card
    assert f"synthesis {', '.join(map(str, model.config.synthesis))} |" in card
    assert all(f"{ratio:g}" in card for ratio in model.config.ratios)
    assert ("at any time between" in card) == model.config.any_time
    assert ("as many as the frame's size asks for" in card) == (model.config.passes == "auto")
    assert "paper_url" not in card and "10.1109/TIP.2023.3315151" in card
    assert "## Results" not in card and "## Code" not in card
    code = card.partition("```python\n")[2].partition("```")[0]
    compile(code, "card", "exec")
    loaded = huggingface_hub.ModelCard.load(tmp_path / "README.md")
    assert loaded.data.license == "mit" and loaded.data.library_name == "waveletvfi"
    assert "video-frame-interpolation" in loaded.data.tags


def test_results_and_the_place_of_the_code_can_be_told(tiny, tmp_path):
    told = {"results": "| set | PSNR |\n|---|---|\n| val | 32.35 |", "code_url": "https://example.org/code"}
    tiny.save_pretrained(tmp_path, model_card_kwargs=told)
    card = (tmp_path / "README.md").read_text()
    assert "## Results\n\n| set | PSNR |" in card and "## Code\n\nhttps://example.org/code\n" in card


def test_a_folder_without_config_json_is_described_by_its_weights(tiny, tmp_path):
    tiny.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    assert same(WaveletVFI.from_pretrained(tmp_path), tiny)


def test_released_weights_in_a_folder_are_known_by_name(known_model, tmp_path):
    utils.save_checkpoint(tmp_path / "model.safetensors", known_state_dict())
    model = WaveletVFI.from_pretrained(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), known_model.parameters(), strict=True))


def test_bad_folders_are_named(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*model\.safetensors"):
        WaveletVFI.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="Repo id must be"):
        WaveletVFI.from_pretrained(tmp_path / "missing")
    tiny.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        WaveletVFI.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="does not fit this network"):
        WaveletVFI.from_pretrained(tmp_path)


class Hub:
    """The hub's side of an upload and a download, over HTTP."""

    def __init__(self):
        self.files: dict[str, bytes] = {}

    def answer(self, request):
        path, body = request.url.path, request.read()
        if path == "/api/repos/create":
            name = json.loads(body)["name"]
            return httpx.Response(200, json={"url": f"{ENDPOINT}/me/{name}", "name": f"me/{name}"})
        if path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            files = [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]
            return httpx.Response(200, json={"files": files})
        if path.endswith("/commit/main"):
            entries = [json.loads(line) for line in body.splitlines()]
            files = [entry["value"] for entry in entries if entry["key"] == "file"]
            self.files = {file["path"]: base64.b64decode(file["content"]) for file in files}
            return httpx.Response(
                200, json={"commitUrl": f"{ENDPOINT}/me/waveletvfi/commit/{COMMIT}", "commitOid": COMMIT}
            )
        if path == "/api/validate-yaml":
            return httpx.Response(200, json={"errors": [], "warnings": []})
        content = self.files.get(path.rpartition("/")[2])
        if content is None or "/resolve/" not in path:
            return httpx.Response(404, headers={"X-Error-Code": "RepoNotFound"}, request=request)
        headers = {"ETag": f'"{len(content)}"', "X-Repo-Commit": COMMIT, "Content-Length": str(len(content))}
        return httpx.Response(200, headers=headers, content=b"" if request.method == "HEAD" else content)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub()
    huggingface_hub.set_client_factory(lambda: httpx.Client(transport=httpx.MockTransport(hub.answer)))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    yield hub
    huggingface_hub.set_client_factory(httpx.Client)


def test_what_is_pushed_can_be_loaded_by_its_name(tiny, hub, tmp_path):
    url = tiny.push_to_hub("me/waveletvfi", token="hf_test", commit_message="weights")
    assert COMMIT in str(url)
    assert set(hub.files) >= {"README.md", "config.json", "model.safetensors"}
    model = WaveletVFI.from_pretrained("me/waveletvfi", token=False, cache_dir=tmp_path / "cache")
    assert same(model, tiny)


def test_an_unknown_repository_is_an_error_of_the_system(hub, tmp_path):
    with pytest.raises(OSError, match="me/unknown"):
        WaveletVFI.from_pretrained("me/unknown", token=False, cache_dir=tmp_path / "cache")
