"""Imports point down: ARCHITECTURE in the README's words, enforced."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from helpers.layers import MAY_IMPORT, ROOT, files_of, imported

from waveletvfi.clone import PARTS

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


def test_every_part_is_known():
    parts = {p.stem for p in ROOT.glob("*.py")} | {p.parent.name for p in ROOT.glob("*/__init__.py")}
    assert parts - {"tests"} == set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_from_below(part):
    for path in files_of(part):
        upward = imported(path) & set(MAY_IMPORT) - MAY_IMPORT[part] - {part}
        assert not upward, f"{path.relative_to(ROOT)} imports {upward}"


def own_imports(path: Path, part: str) -> set[str]:
    """Return the files of `part` that one of its files imports, as paths without suffix, relative to `part`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            names = [place] if node.module else [place / alias.name for alias in node.names]
            found |= {name.relative_to(ROOT / part).as_posix() for name in names}
    return found


@pytest.mark.parametrize("room", VIDEO_ROOMS)
def test_a_room_of_video_imports_only_from_the_rooms_below(room):
    for path in files_of(f"video/{room}"):
        upward = {name for name in own_imports(path, "video") if name.split("/")[0] not in VIDEO_ROOMS[room] | {room}}
        assert not upward, f"{path.relative_to(ROOT)} imports {upward}"


def test_every_folder_of_video_is_a_room():
    assert {path.parent.name for path in (ROOT / "video").glob("*/__init__.py")} == VIDEO_ROOMS.keys() - {"frame"}


@pytest.mark.parametrize("part", [p for p in MAY_IMPORT if (ROOT / p).is_dir() and p != "waveletvfi"])
def test_inside_a_part_no_imports_go_round(part):
    """`waveletvfi` imports what setup.py copies into it, so its own names cannot be told from those of other parts."""
    graph = {}
    for path in files_of(part):
        place = path.parent if path.stem == "__init__" else path.with_suffix("")
        graph[place.relative_to(ROOT / part).as_posix()] = own_imports(path, part)
    assert {name for found in graph.values() for name in found} <= graph.keys()
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
