"""The README and the pages: marked blocks of code run as they stand, and links lead somewhere.

CONTRIBUTING.md explains the marks above a block: `runs`, `runs: slow` and `runs: needs PACKAGE`, in HTML comments.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.clips import make_clip, square
from helpers.runs import ROOT
from PIL import Image

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "checkpoints/README.md", ROOT / "checkpoints/TRAINING.md"]
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>runs.*?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MADE = {"runs", "results", "demo_output", "local", "site", "build", "shared"}  # folders that are not the clone's


class Block(NamedTuple):
    language: str
    code: str
    mark: str | None


def blocks_of(page: Path) -> list[Block]:
    return [Block(found["language"], found["code"], found["mark"]) for found in BLOCK.finditer(page.read_text())]


def marked() -> list:
    found = []
    for page in PAGES:
        for number, block in enumerate(blocks_of(page), start=1):
            if block.mark:
                found.append(pytest.param(block, id=f"{page.name}-{number}", marks=marks_of(block.mark)))
    return found


def marks_of(mark: str) -> list[pytest.MarkDecorator]:
    if mark.startswith("runs: needs "):
        package = mark.removeprefix("runs: needs ")
        missing = importlib.util.find_spec(package) is None
        return [pytest.mark.extra, pytest.mark.skipif(missing, reason=f"{package} is not installed")]
    return {"runs": [], "runs: slow": [pytest.mark.slow]}[mark]


@pytest.fixture
def clone(tmp_path, monkeypatch) -> Path:
    """A folder that looks like the clone, with tiny inputs under the names that the pages use."""
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name not in MADE:
            (tmp_path / path.name).symlink_to(path)
    squares = [square(index) for index in range(4)]
    make_clip(tmp_path / "clip.mp4", squares, pix_fmt="yuv420p")
    make_clip(tmp_path / "film.mp4", [square(index) for index in range(12)], pix_fmt="yuv420p", rate=24)
    make_clip(tmp_path / "anime.mkv", [square(index // 2) for index in range(6)], pix_fmt="yuv420p", rate=24)
    first, *rest = pictures = [Image.fromarray(picture) for picture in squares]
    first.save(tmp_path / "walk.gif", save_all=True, append_images=rest, duration=100, loop=0)
    pictures[0].save(tmp_path / "a.png")
    pictures[1].save(tmp_path / "b.png")
    for folder in ("frames", "videos"):
        (tmp_path / folder).mkdir()
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "frames" / f"{number:04d}.png")
    make_clip(tmp_path / "videos" / "one.mp4", squares, pix_fmt="yuv420p")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", marked())
def test_a_marked_block_runs(block, clone):
    if block.language == "python":
        exec(compile(block.code, "block", "exec"), {"__name__": "block"})
        return
    assert block.language == "bash"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    command = ["bash", "-euo", "pipefail", "-c", block.code]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda path: path.name)
def test_a_page_begins_with_a_block_that_runs(page):
    assert blocks_of(page)[0].mark


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_to_files_lead_somewhere(text):
    for link in LINK.findall(text.read_text()):
        if "://" not in link:
            target = text.parent / link.partition("#")[0]
            assert target.exists(), link


def test_every_mark_stands_above_a_block():
    for page in PAGES:
        assert page.read_text().count("<!-- runs") == sum(block.mark is not None for block in blocks_of(page)), page
