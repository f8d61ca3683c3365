"""Ctrl-C, or a package that is missing, while a script imports: one line, whichever module is being imported."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.runs import ROOT, finish, launch

from common import startup
from common.startup import PASSIVE, begin_script, run_script

SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.py"), *ROOT.glob("benchmark/*.py"))
    if "    run_script(main, parse_args())" in path.read_text()
)


@pytest.fixture
def interrupted(tmp_path) -> Path:
    """A folder with a torch that is interrupted while it is imported."""
    (tmp_path / "torch.py").write_text(
        "import os, signal, time\n"
        "try:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(10)\n"
        "except KeyboardInterrupt as error:\n    raise ImportError('half imported') from error\n"
    )
    return tmp_path


def test_every_script_is_known():
    assert len(SCRIPTS) >= 18 and {"interpolate.py", "train_vimeo90k.py", "benchmark/Vimeo90K.py"} <= set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_during_the_imports_of_a_script_is_one_line(interrupted, script):
    assert finish(launch(script, PYTHONPATH=str(interrupted)), 130) == "interrupted\n"


@pytest.mark.parametrize("own", [None, "ACTIVE"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_threads_wait_without_spinning_unless_the_environment_says_otherwise(tmp_path, script, own):
    """What OpenMP reads is there before torch is imported."""
    (tmp_path / "torch.py").write_text(
        "import os, sys\nprint(os.environ['OMP_WAIT_POLICY'], os.environ['KMP_BLOCKTIME'])\nos._exit(0)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in PASSIVE}
    environment |= {"PYTHONPATH": str(tmp_path)} | ({"OMP_WAIT_POLICY": own} if own else {})
    command = [sys.executable, script]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.stdout == f"{own or 'PASSIVE'} 0\n", run.stderr


PRINTING = (
    "import os, sys\n"
    "from common.startup import begin_script\n"
    "begin_script()\n"
    "print(os.fsdecode(b'caf\\xe9.mp4'), os.open(os.devnull, os.O_RDONLY) > 2)\n"
    "print('told', file=sys.stderr, flush=True)\n"
)


@pytest.mark.parametrize("closed", [(), (0,), (2,), (0, 1, 2)])
def test_a_script_works_with_closed_streams_and_prints_every_name(tmp_path, closed):
    closing = " ".join(f"{number}>&-" for number in closed)
    command = ["sh", "-c", f'exec "$0" "$@" {closing}', sys.executable, "-c", PRINTING]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"}
    run = subprocess.run(command, env=environment, capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout == (b"" if 1 in closed else b"caf\\udce9.mp4 True\n")
    assert run.stderr == (b"" if 2 in closed else b"told\n")


def test_only_scripts_change_what_ctrl_c_does(interrupted):
    printed = finish(launch("-c", "import interpolate", PYTHONPATH=f"{ROOT}:{interrupted}"), 1)
    assert "KeyboardInterrupt" in printed


@pytest.fixture
def handler():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield
    for number, function in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
        signal.signal(number, function)


def test_a_running_script_cleans_up_and_a_job_in_the_background_still_ignores_ctrl_c(handler):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begin_script()
    assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    run_script(lambda _: None, None)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begin_script()
    run_script(lambda _: None, None)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


class LostConnection(RuntimeError):
    """What PyTorch raises of NCCL."""


@pytest.mark.parametrize(
    "error", [RuntimeError("[pair.cc:561] Connection closed by peer [127.0.0.1]:28369"), LostConnection("timeout")]
)
@pytest.mark.parametrize("is_distributed", [True, False])
def test_a_process_that_waits_for_one_that_is_gone_says_so(monkeypatch, capsys, handler, error, is_distributed):
    left = []
    module = SimpleNamespace(DistError=LostConnection, destroy_process_group=lambda: left.append(True))
    monkeypatch.setattr(startup, "_distributed", lambda: module if is_distributed else None)

    def main(_: None) -> None:
        raise error

    with pytest.raises(SystemExit if is_distributed else type(error)) as caught:
        run_script(main, None)
    if is_distributed:
        assert caught.value.code == 1 and left == [True]
        assert capsys.readouterr().err == "error: another process of this run has ended; see its own error\n"


def test_another_error_of_a_distributed_run_keeps_its_traceback(monkeypatch, handler):
    module = SimpleNamespace(DistError=LostConnection, destroy_process_group=lambda: None)
    monkeypatch.setattr(startup, "_distributed", lambda: module)
    with pytest.raises(RuntimeError, match="shapes differ"):
        run_script(lambda _: exec("raise RuntimeError('shapes differ')"), None)


BARE = ("-S", "-E")  # without site-packages


@pytest.mark.parametrize("script", SCRIPTS)
def test_outside_of_the_environment_a_script_says_in_one_line_what_to_do(script):
    done = subprocess.run([sys.executable, *BARE, script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(
        r"error: the package \w+ is not installed for \S+; (activate the environment .*/activate|pip install -r .*)\n",
        done.stderr,
    )


def test_what_to_do_depends_on_where_python_is(tmp_path, monkeypatch):
    """In the environment itself, and where there is none, packages are installed: from the list that has them."""
    (tmp_path / "requirements.txt").write_text("tqdm==4.70.1          # progress bars\n")
    (tmp_path / "requirements-extra.txt").write_text("# more\nmkdocstrings[python]==1.0.8  # docs\n")
    monkeypatch.setattr(startup, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "prefix", "/usr")
    assert startup.how_to_get("tqdm") == startup.how_to_get("unheard_of") == "pip install -r requirements.txt"
    assert startup.how_to_get("mkdocstrings") == "pip install -r requirements-extra.txt"
    (tmp_path / ".venv").mkdir()
    assert startup.how_to_get("tqdm") == "pip install -r requirements.txt"  # not finished, or somebody else's
    (tmp_path / ".venv/installed").touch()
    assert startup.how_to_get("tqdm").endswith(f"source {tmp_path}/.venv/bin/activate")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert startup.how_to_get("tqdm") == "pip install -r requirements.txt"


def test_installed_by_pip_a_script_says_which_package_to_install(tmp_path, monkeypatch):
    """There is no list of requirements."""
    monkeypatch.setattr(startup, "ROOT", tmp_path)
    assert startup.how_to_get("matplotlib") == "pip install matplotlib"


@pytest.mark.parametrize("name", ["models", "common", "tomllib", None])
def test_a_missing_module_that_is_no_package_keeps_its_traceback(name):
    code = f"from common import startup; startup.begin_script(); raise ModuleNotFoundError('gone', name={name!r})"
    printed = finish(launch("-c", code), 1)
    assert "Traceback" in printed and "ModuleNotFoundError: gone" in printed
