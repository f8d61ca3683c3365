"""Imports point down: ARCHITECTURE in the README's words, enforced."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from waveletvfi.clone import PARTS

ROOT = Path(__file__).parent.parent
#: What each part of the project may import of the others.
MAY_IMPORT = {
    "common": set(),
    "utils": {"common"},
    "pytorch_wavelets": set(),
    "models": {"common", "pytorch_wavelets", "utils"},
    "datasets": {"utils", "video"},  # one decoder: a benchmark must judge the pixels that the tool makes
    "benchmark": {"common", "datasets", "models", "pytorch_wavelets", "training", "utils", "video"},
    "video": {"common", "models", "utils"},
    "web": {"datasets", "models", "utils", "video"},
    "training": {"models", "datasets", "utils"},
    "train_vimeo90k": {"common", "datasets", "training", "utils"},
    "interpolate": {"common", "models", "utils", "video"},
    "export_onnx": {"common", "models", "utils"},
    "hubconf": set(),
    "setup": {"waveletvfi"},
    "waveletvfi": {"models"},  # for the type of `load` alone
    "app": {"common", "models", "utils", "web"},
    "waveletvfi_vs": {"common", "models", "utils", "video"},
    "demo": {"common", "datasets", "interpolate", "models", "utils", "video"},
}
#: Inside these folders, from the bottom up.
ORDERS = {
    "common": [
    "__init__", "startup", "extras", "names", "distributed", "whole_files", "weight_files", "tiff_files", "images",
    "checkpoints",
],
    "models": [
    "ensemble", "official", "passes", "config", "weights", "hub", "pretrained", "bilinear", "layers", "checks", "bands",
    "sparse", "motion", "context", "macs", "synthesis", "waveletvfi", "exported", "export", "loading", "losses",
    "options", "__init__",
]}  # fmt: skip
#: Inside `video`: what each room may import of the others; the files beside the rooms stand above all of them.
#: `frame` is the floor of all. `render` knows frames and when they are due, but no file; `write` stores what was
#: rendered, and copies the other streams of what was read.
VIDEO_ROOMS = {
    "frame": set(),
    "read": {"frame"},
    "schedule": {"frame"},
    "render": {"frame", "schedule"},
    "write": {"frame", "read", "render"},
}


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports; relative imports as ".name"."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * min(node.level, 1) + (node.module or "").split(".")[0])
    return names


def files_of(part: str) -> list[Path]:
    return [ROOT / f"{part}.py"] if (ROOT / f"{part}.py").is_file() else sorted((ROOT / part).rglob("*.py"))


def test_every_part_is_known():
    parts = {p.stem for p in ROOT.glob("*.py")} | {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert parts - {"tests"} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_from_below(part):
    for path in files_of(part):
        upward = imported(path) & set(MAY_IMPORT) - MAY_IMPORT[part] - {part}
        assert not upward, f"{path.relative_to(ROOT)} imports {upward}"


@pytest.mark.parametrize("folder", ORDERS)
def test_inside_a_folder_imports_point_down_too(folder):
    order = ORDERS[folder]
    for path in (ROOT / folder).glob("*.py"):
        rank = order.index(path.stem)
        for name in imported(path):
            if name.startswith(".") and name != ".":
                assert order.index(name[1:]) < rank, f"{path.name} imports {name}"


def video_imports(path: Path) -> set[str]:
    """Files of `video` that one of its files imports, as paths without suffix, relative to `video`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            names = [place] if node.module else [place / alias.name for alias in node.names]
            found |= {name.relative_to(ROOT / "video").as_posix() for name in names}
    return found


@pytest.mark.parametrize("room", VIDEO_ROOMS)
def test_a_room_of_video_imports_only_from_the_rooms_below(room):
    for path in files_of(f"video/{room}"):
        upward = {name for name in video_imports(path) if name.split("/")[0] not in VIDEO_ROOMS[room] | {room}}
        assert not upward, f"{path.relative_to(ROOT)} imports {upward}"


def test_every_folder_of_video_is_a_room_and_no_imports_go_round():
    assert {path.parent.name for path in (ROOT / "video").glob("*/__init__.py")} == VIDEO_ROOMS.keys() - {"frame"}
    files = [path for path in files_of("video") if path.stem != "__init__"]
    graph = {path.relative_to(ROOT / "video").with_suffix("").as_posix(): video_imports(path) for path in files}
    assert {name for names in graph.values() for name in names} <= graph.keys()
    TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("part", ["models", "pytorch_wavelets", "video", "utils", "common", "interpolate"])
def test_interpolation_does_not_need_torchvision(part):
    for path in files_of(part):
        if path.stem != "picture":  # draws the demo's picture
            assert "torchvision" not in imported(path), path


def test_what_pip_installs_is_whole():
    """All parts are installed but the demo and torch.hub's file, and none imports what is left out."""
    assert set(MAY_IMPORT) - {"demo", "hubconf", "setup", "waveletvfi"} == PARTS
    assert set().union(*(MAY_IMPORT[name] for name in PARTS)) <= PARTS
