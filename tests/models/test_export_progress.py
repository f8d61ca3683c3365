"""What an export shows while it works."""

import contextlib
import io
import sys
import time

from export_onnx import Steps


def test_where_nobody_watches_there_is_a_line_for_each_step(capsys):
    with contextlib.closing(Steps(2)) as step:
        step("tracing")
        step("writing")
    assert capsys.readouterr().err == "step 1 of 2: tracing\nstep 2 of 2: writing\n"


def test_on_a_screen_the_time_goes_on_within_a_step(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with contextlib.closing(Steps(3, every=0.05)) as step:
        step("tracing")
        deadline = time.monotonic() + 10
        while "step 1 of 3: tracing (00:01)" not in screen.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
        step("writing")
    assert "step 1 of 3: tracing (00:00)" in screen.getvalue() and "step 1 of 3: tracing (00:01)" in screen.getvalue()
    assert "step 2 of 3: writing" in screen.getvalue()
    rest = screen.getvalue().rpartition("\r")[0].rpartition("\r")[2]
    assert rest.strip() == ""  # the line is removed
