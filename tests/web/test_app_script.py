"""The script app.py: its limits and addresses, and the errors that end it."""

import sys
from types import SimpleNamespace

import pytest

import app
from utils import run_script


def fails(capsys, line: str) -> str:
    with pytest.raises(SystemExit) as failure:
        run_script(app.main, app.parse_args(line.split()))
    assert failure.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("option", ["--max_megapixels 0", "--max_frames 1", "--max_mib 0", "--max_megapixels nan"])
def test_limits_that_let_nothing_in_are_refused(capsys, option):
    assert f"error: {option.split()[0]} must be more than" in fails(capsys, option)


def test_a_port_that_is_taken_or_impossible_is_named(capsys):
    port = app.free_port("127.0.0.1", 0)
    with app.socket.create_server(("127.0.0.1", port)):
        assert f"cannot listen on port {port} of 127.0.0.1" in fails(capsys, f"--port {port}")
    assert "cannot listen on port 70000" in fails(capsys, "--port 70000")


def test_only_this_machine_may_connect_unless_said_otherwise():
    assert app.parse_args([]).host == "127.0.0.1"


@pytest.fixture
def environment(monkeypatch):
    """Put back afterwards."""
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_DISABLE_TELEMETRY", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "")


def test_a_network_without_an_inside_is_refused(capsys, monkeypatch, environment):
    monkeypatch.setitem(sys.modules, "gradio", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "web.page", SimpleNamespace(build_page=None, launch=None))
    monkeypatch.setattr(app, "network", lambda args, device: object())
    assert "give its weights, not model.onnx" in fails(capsys, "--port 0 --checkpoint model.onnx")


def test_without_gradio_the_error_names_what_to_install(capsys, monkeypatch, environment):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "web.page", raising=False)
    assert "pip install -r requirements-extra.txt" in fails(capsys, "--port 0")
