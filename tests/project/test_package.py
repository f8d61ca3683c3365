"""`pip install PATH_OF_CLONE`: one package and one command, which leave the names of other projects alone."""

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import tomllib
from helpers.clips import make_clip, read, square
from helpers.layers import MAY_IMPORT, files_of, imported
from helpers.runs import ROOT

from waveletvfi import __main__ as command
from waveletvfi.clone import PARTS, installed_files, rewrite

#: The modules of a user's own project, beside which the command is run.
OWN = ("utils", "models", "video", "common", "training", "benchmark", "datasets", "web", "extras", "startup")
LOAD = """
import sys, utils, pytorch_wavelets, torch, waveletvfi
from waveletvfi.utils import read_image
from waveletvfi.video import Options, convert
model = waveletvfi.load(sparse="masked")
frame = model.interpolate(torch.rand(1, 3, 20, 30), torch.rand(1, 3, 20, 30))
print(tuple(frame.shape), model.training, model.config.correction, utils.WHOSE, pytorch_wavelets.WHOSE)
print(sorted(name for name in sys.modules if name in {own}))
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import utils", "from P import utils"),
        ("import utils as u", "import P.utils as u"),
        ("import os, utils", "import os; from P import utils"),
        ("import models.motion", "import P.models.motion as _; from P import models"),
        ("import models.motion as m", "import P.models.motion as m"),
        ("from utils import (\n    Process,\n)", "from P.utils import (\n    Process,\n)"),
        ("def é(): from video.mux import a as b  # é", "def é(): from P.video.mux import a as b  # é"),
        ("if True:\n    'é'; import utils", "if True:\n    'é'; from P import utils"),
        ("sys.path.insert(0, str(Path(__file__).resolve().parent.parent))", "pass"),
        ("from . import utils", "from . import utils"),
        ("from .utils import a", "from .utils import a"),
        ("import torch.utils\nfrom torch import utils", "import torch.utils\nfrom torch import utils"),
        ("text = 'import utils'  # import utils", "text = 'import utils'  # import utils"),
        ("utils2 = sys.path.insert(0, folder)", "utils2 = sys.path.insert(0, folder)"),
    ],
)
def test_only_imports_of_our_own_names_change(before, after):
    assert rewrite(before.encode(), "P").decode() == after


@pytest.mark.parametrize("source", ["from  utils import a", "import utils ,os"])
def test_an_import_in_an_unknown_form_is_an_error_and_not_left_as_it_is(source):
    with pytest.raises(ValueError, match=r"line 1 must begin with '(from utils import|import utils, os)' to be"):
        rewrite(source.encode(), "P")


def test_of_all_weights_only_the_shipped_ones_are_installed():
    weights = [path for path in installed_files() if path.suffix == ".pth"]
    assert weights == [Path("checkpoints/waveletvfi_small.pth")]
    assert sum((ROOT / path).stat().st_size for path in installed_files()) < 10e6


def test_no_installed_file_imports_a_generic_name(tmp_path):
    for path in installed_files():
        if path.suffix == ".py":
            source = (ROOT / path).read_bytes()
            written = rewrite(source, "waveletvfi")
            (tmp_path / "file.py").write_bytes(written)
            assert not imported(tmp_path / "file.py") & PARTS, path
            assert len(written.splitlines()) == len(source.splitlines()), path
            assert "sys.path.insert(0, str(Path(__file__)" not in ast.unparse(ast.parse(written)), path


def test_a_clone_is_a_package_too_without_being_installed():
    """A project that has the clone in its path imports its modules under either name."""
    code = "import waveletvfi.common.startup as a, common.startup as b; print(a.__name__, a.ROOT == b.ROOT, a is b)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "waveletvfi.common.startup True False\n", done.stderr


@pytest.mark.parametrize(
    ("words", "name", "module", "arguments"),
    [
        (["a.mp4", "-o", "b.mp4"], "waveletvfi", "interpolate", ["a.mp4", "-o", "b.mp4"]),
        ([], "waveletvfi", "interpolate", []),
        (["./train", "-o", "b.mp4"], "waveletvfi", "interpolate", ["./train", "-o", "b.mp4"]),
        (["train", "--epochs", "1"], "waveletvfi train", "train_vimeo90k", ["--epochs", "1"]),
        (["page"], "waveletvfi page", "app", []),
        (["export"], "waveletvfi export", "export_onnx", []),
        (["evaluate", "xiph", "--help"], "waveletvfi evaluate Xiph", "benchmark.Xiph", ["--help"]),
    ],
)
def test_the_first_word_chooses_the_script(words, name, module, arguments):
    found = command.find_command(words)
    assert (found.name, found.module, found.arguments) == (name, module, arguments)
    assert (ROOT / found.file).is_file()


@pytest.mark.parametrize(("words", "given"), [([], "nothing is given"), (["Vimeo"], "got 'Vimeo'")])
def test_evaluate_lists_its_scripts(words, given):
    with pytest.raises(ValueError, match=f"{given}; one of ATD12K, .*, Xiph"):
        command.find_command(["evaluate", *words])


def test_every_script_of_a_data_set_can_be_evaluated():
    scripts = [path for path in ROOT.glob("benchmark/*.py") if "from benchmark.command import" in path.read_text()]
    assert {path.stem for path in scripts} == set(command.SETS)


def test_descriptions_name_the_command_instead_of_the_file():
    found = command.find_command(["train"])
    text = "python train_vimeo90k.py --a\ntorchrun --nproc_per_node=4 train_vimeo90k.py --a"
    assert command.describe(text, found) == "waveletvfi train --a\ntorchrun --nproc_per_node=4 -m waveletvfi train --a"


@pytest.mark.parametrize(
    ("extra", "script"),
    [("evaluate", "benchmark"), ("train", "train_vimeo90k"), ("page", "app"), ("export", "export_onnx")],
)
def test_a_command_with_what_it_needs_has_every_package_that_it_imports(extra, script):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = {re.split("[<>=]", text)[0] for text in project["dependencies"] + project["optional-dependencies"][extra]}
    parts = {script}
    while not (below := set().union(*(MAY_IMPORT[part] for part in parts))) <= parts:
        parts |= below
    names = set().union(*(imported(path) for part in parts for path in files_of(part)))
    names = {name for name in names if not name.startswith(".")} - sys.stdlib_module_names - set(MAY_IMPORT)
    names -= {"triton", "huggingface_hub", "markupsafe"}  # optional; jinja2 brings the last one
    assert {{"PIL": "pillow", "pywt": "PyWavelets"}.get(name, name) for name in names} <= listed


def run(*words: str | Path, folder: Path, status: int = 0) -> str:
    """Run a command in `folder` without this clone in Python's path, and return what it printed."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*words], cwd=folder, env=variables, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """The programs of a new environment that sees the packages of this one, another `pytorch_wavelets`, and ours."""
    folder = tmp_path_factory.mktemp("package")
    front = (path.relative_to(ROOT) for path in (ROOT / "waveletvfi").iterdir() if path.is_file())
    for path in (*map(Path, ("pyproject.toml", "setup.py", "README.md", "LICENSE")), *front, *installed_files()):
        (folder / "clone" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / "clone" / path)
    run(sys.executable, "-m", "venv", "--without-pip", "env", folder=folder)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    (site / "pytorch_wavelets").mkdir()
    (site / "pytorch_wavelets/__init__.py").write_text("WHOSE = 'PyPI'")
    pip = [sys.executable, "-m", "pip", "--python", folder / "env/bin/python", "--disable-pip-version-check"]
    run(*pip, "install", "--no-deps", "--no-index", "--no-build-isolation", "./clone", folder=folder)
    assert {path.name for path in site.iterdir()} - {"__pycache__"} == {
        "others.pth", "pytorch_wavelets", "waveletvfi", "waveletvfi-0.1.0.dist-info",
    }  # fmt: skip
    assert not (site / "waveletvfi/clone.py").exists()
    return folder / "env/bin"


@pytest.fixture
def project(tmp_path) -> Path:
    """A folder with a user's own modules and a short clip."""
    for name in OWN:
        (tmp_path / f"{name}.py").write_text("WHOSE = 'theirs'")
    make_clip(tmp_path / "a.mkv", [square(k) for k in range(6)], pix_fmt="yuv420p")
    return tmp_path


@pytest.mark.slow
def test_the_network_loads_beside_modules_of_the_same_names(programs, project):
    printed = run(programs / "python", "-c", LOAD.format(own=OWN), folder=project)
    assert printed == "(1, 3, 20, 30) False True theirs PyPI\n['utils']\n"


@pytest.mark.slow
def test_the_command_interpolates_in_several_processes(programs, project):
    words = [programs / "waveletvfi", "a.mkv", "--output", "b.mkv", "--device", "cpu", "--workers", "2"]
    assert "12 frames in b.mkv" in run(*words, folder=project)
    assert len(read(project / "b.mkv")) == 12


@pytest.mark.slow
def test_training_and_evaluation_work_as_installed(programs, project):
    """Networks, templates and workers are found inside the package."""
    data = "--data_root shapes:4 --val_root shapes:1 --config small --crop_size 32 --batch_size 4 --epochs 1"
    run(programs / "waveletvfi", "train", *data.split(), "--device", "cpu", "--workers", "1", folder=project)
    (weights,) = project.rglob("best.pth")
    words = ["-m", "waveletvfi", "evaluate", "Folder", "--data_root", ".", "--device", "cpu", "--checkpoint"]
    assert "PSNR" in run(programs / "python", *words, weights, folder=project)
    assert len([*project.glob("results/**/report.html")]) == 1


@pytest.mark.slow
def test_mistakes_and_help_name_the_command(programs, project):
    assert "usage: waveletvfi evaluate SCRIPT" in run(programs / "waveletvfi", "evaluate", "-h", folder=project)
    assert "error: evaluate needs" in run(programs / "waveletvfi", "evaluate", "xy", folder=project, status=2)
    said = run(programs / "waveletvfi", "none.mp4", "--output", "b.mp4", folder=project, status=1)
    assert said.startswith("error: ") and said.count("\n") == 1
