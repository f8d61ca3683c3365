"""Worker processes change when frames are made, not what they are; and none of them is left behind."""

import multiprocessing
import os
import pickle
import re
import signal
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.clips import Average, make_clip, square
from helpers.runs import ROOT, TINY, finish, launch, tiny_network

import utils
from models import WaveletVFI
from video import Frame, Options, Workers, convert
from video.render import threads
from video.render.network import Network
from video.render.threads import choose_workers, count_cores, steady_threads
from video.render.workers import FRAMES, PAIRS, LostWorkerError, Run, _answer, gather
from video.schedule.timeline import Span

RUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture
def clip(tmp_path) -> Path:
    return make_clip(tmp_path / "clip.mp4", [square(k % 12) for k in range(14)], sound=[0.3])


def tiny() -> WaveletVFI:
    return tiny_network().model


class Deadly(Average):
    """A network whose process is killed at the third pair."""

    calls = 0

    def interpolate(self, img0, img1, *, ratio):
        self.calls += 1
        if self.calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().interpolate(img0, img1, ratio=ratio)


class Broken(Average):
    """A network whose frames are not finite."""

    def interpolate(self, img0, img1, *, ratio):
        return img0 * float("nan")


class Strange(Exception):
    """An error that cannot be sent to another process."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


def spans(*wanted: int) -> list[Span]:
    """One span per number, in which so many frames are wanted."""
    frames = [Frame(np.zeros((1, 1, 3), np.uint8), Fraction(k), "", native="decoded") for k in range(len(wanted) + 1)]
    return [
        Span(frames[k], frames[k + 1], False, 0, [], [Fraction(i, n + 1) for i in range(n + 1)])
        for k, n in enumerate(wanted)
    ]


def test_runs_hold_all_spans_in_order_and_few_of_them():
    planned = spans(1, 1, 1, 1, 1, 0, 0, 7, 1, 1, 20, 3, 3, 3, *[0] * 50)
    runs = list(gather(iter(planned)))
    assert [span for run in runs for span in run.spans] == planned
    for run in runs:
        assert len(run.spans) <= PAIRS
        assert len(run.spans) == 1 or sum(len(span.wanted) for span in run.spans) <= FRAMES
    assert all((run.made is None) == any(span.wanted for span in run.spans) for run in runs)


def test_a_frame_of_two_pairs_is_sent_once_and_without_what_cannot_be_sent():
    (run,) = gather(iter(spans(1, 0, 2)))
    orders = pickle.loads(pickle.dumps(run.orders()))
    assert [order.wanted for order in orders] == [[Fraction(1, 2)], [Fraction(1, 3), Fraction(2, 3)]]
    (both,) = gather(iter(spans(1, 1)))
    one, two = pickle.loads(pickle.dumps(both.orders()))
    assert one.frame1 is two.frame0 and one.frame1.native is None
    run.take([["a"], ["b", "c"]])
    assert run.made == [["a"], [], ["b", "c"]]


def test_a_worker_answers_with_the_frames_or_the_error_that_it_met():
    (order,) = Run(spans(1)).orders()
    settings = Network(Average()).settings
    ((made,),) = _answer(Average(), settings, [order])
    assert made.place == Fraction(1, 2) and made.image.max() == 0 and len(made.calls) == 1
    moving = order._replace(frame1=order.frame1._replace(image=order.frame1.image + 9))
    error = _answer(Broken(), settings, [moving])
    assert isinstance(error, ValueError) and "NaN" in str(error)

    class Odd(Average):
        def interpolate(self, img0, img1, *, ratio):
            raise Strange("one", "other")

    error = _answer(Odd(), settings, [moving])
    assert type(error) is RuntimeError and str(error) == "Strange: one other"


def test_two_workers_serve_several_conversions_with_the_bytes_of_one_process(clip, tmp_path):
    seen: list[tuple] = []
    with Workers(tiny(), 2) as workers:
        for options in (Options(multiplier=3), Options(fps=60, ratio=0.0)):
            both = {"overwrite": True, "on_progress": lambda *counts: seen.append(counts)}
            shared = convert([clip], tmp_path / "two.mp4", workers.model, options, workers=workers, **both)
            assert len(multiprocessing.active_children()) == 2 and seen[-1] == 2 * (shared.frames,)
            alone = convert([clip], tmp_path / "one.mp4", workers.model, options, **both)
            assert (tmp_path / "two.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()
            assert shared.calls == alone.calls > 0
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_killed_worker_ends_the_conversion_and_the_next_one_begins_anew(clip, tmp_path):
    with Workers(Deadly(), 2) as workers:
        started = time.monotonic()
        with pytest.raises(LostWorkerError, match=r"a worker process has ended .signal 9.; there may be too little"):
            convert([clip], tmp_path / "out.mp4", workers.model, workers=workers)
        assert multiprocessing.active_children() == [] and time.monotonic() - started < 60
        short = Options(seconds=Fraction(1, 12))
        assert convert([clip], tmp_path / "out.mp4", workers.model, short, workers=workers).frames == 4


@pytest.mark.slow
def test_an_error_of_the_network_comes_out_on_this_side(clip, tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        convert([clip], tmp_path / "out.mp4", Broken(), workers=2)
    assert multiprocessing.active_children() == [] and list(tmp_path.iterdir()) == [clip]


def test_what_workers_cannot_do_is_said(clip, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        Workers(Average(), 0)
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        Workers(Average(), threads=0)
    local = type("Local", (Average,), {})()
    with pytest.raises(ValueError, match=r"cannot be handed to other processes .*; try one worker"):
        convert([clip], tmp_path / "out.mp4", local, workers=2)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "there is one")
    with pytest.raises(ValueError, match="a process that another one has started cannot start workers"):
        convert([clip], tmp_path / "out.mp4", Average(), workers=2)
    assert list(tmp_path.iterdir()) == [clip]


@pytest.fixture
def machine(monkeypatch) -> Callable[[int, int | None], None]:
    """Says what machine this is."""

    def be(cores: int, memory: int | None) -> None:
        monkeypatch.setattr(threads, "count_cores", lambda: cores)
        monkeypatch.setattr(threads, "available_memory", lambda: memory)

    return be


def test_a_few_frames_start_no_workers_and_a_film_one_per_core(machine):
    machine(8, None)
    assert choose_workers(24, (272, 640), rate=Fraction(50)) == 1
    assert choose_workers(100_000, (272, 640), rate=Fraction(50)) == 8
    assert choose_workers(None, (272, 640), rate=Fraction(50)) == 8
    assert choose_workers(None, (48, 64), rate=Fraction(50)) == 1
    counts = [choose_workers(frames, (272, 640), rate=Fraction(50)) for frames in range(0, 1000, 20)]
    assert counts == sorted(counts) and set(counts) == set(range(1, 9))


def test_short_memory_means_fewer_workers_unless_tiles_take_less(machine):
    uhd, gib = (2160, 3840), 2**30
    for memory, most in ((4 * gib, 1), (32 * gib, 3), (400 * gib, 16)):
        machine(16, memory)
        assert choose_workers(10_000, uhd, rate=Fraction(50)) <= most
    machine(16, 32 * gib)
    assert choose_workers(10_000, uhd, tile=512, rate=Fraction(50)) > choose_workers(10_000, uhd, rate=Fraction(50))


def test_a_container_bounds_cores_and_memory(monkeypatch):
    files = {
        "/sys/fs/cgroup/cpu.max": "150000 100000", "/sys/fs/cgroup/memory.max": "1000000000",
        "/sys/fs/cgroup/memory.current": "900000000", "/sys/fs/cgroup/memory.stat": "anon 1\nfile 300000000",
        "/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   16000000 kB",
    }  # fmt: skip
    monkeypatch.setattr(threads, "_read", files.get)
    assert count_cores() == 1 and threads.available_memory() == 400_000_000
    files["/sys/fs/cgroup/cpu.max"] = files["/sys/fs/cgroup/memory.max"] = "max"
    assert count_cores() >= 1 and threads.available_memory() == 16_384_000_000
    files.clear()
    assert count_cores() >= 1 and threads.available_memory() is None


def test_a_conversion_leaves_the_number_of_threads_as_it_was(clip, tmp_path):
    seen = set()

    class Noting(Average):
        def interpolate(self, img0, img1, *, ratio):
            seen.add(torch.get_num_threads())
            return super().interpolate(img0, img1, ratio=ratio)

    before = torch.get_num_threads()
    convert([clip], tmp_path / "one.mp4", Noting())
    assert seen == {1}
    convert([clip], tmp_path / "three.mp4", Noting(), threads=3)
    assert seen == {1, 3} and torch.get_num_threads() == before
    with steady_threads("cuda", None):
        assert torch.get_num_threads() == before


SCRIPT = """
import sys, time
import video.schedule.timeline
from helpers.clips import Average
from utils import init_distributed, run_script
from video import convert
video.schedule.timeline.SEGMENT = 4

class Slow(Average):
    def interpolate(self, img0, img1, **options):
        time.sleep(PAUSE)
        return super().interpolate(img0, img1, ratio=None)

def main(args):
    clip, output = args
    process = init_distributed("cpu")
    seen = []
    note = lambda *counts: seen.append(counts)
    convert([clip], output, Slow(), process=process, workers=2, on_progress=note)
    if process.is_main:
        print("progress", seen[-1], max(done for done, total in seen), seen == sorted(seen))
"""
GUARD = 'if __name__ == "__main__":'


@pytest.fixture
def slow_script(tmp_path) -> Callable[..., list[str]]:
    """A command that converts `clip` with two workers and a network that takes its time."""

    def command(
        output: Path, how: str = "", pause: float = 0.3, guard: str = 'if __name__ == "__main__":'
    ) -> list[str]:
        script = tmp_path / "slow_script.py"
        script.write_text(f"{SCRIPT}\n{guard}\n    run_script(main, sys.argv[1:])\n".replace("PAUSE", str(pause)))
        return [str(script), str(tmp_path / "clip.mp4"), str(output)]

    return command


def run_of(command: list[str], **options):
    return launch(*command, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}", session=True, **options)


def living(session: int) -> list[int]:
    """The processes of a session that are not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, theirs = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(theirs) == session and state != "Z":
            found.append(int(folder.name))
    return found


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether it holds within so many seconds."""
    until = time.monotonic() + seconds
    while not (is_true := holds()) and time.monotonic() < until:
        time.sleep(0.1)
    return is_true


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_ends_all_workers_and_resume_ends_in_the_same_bytes(
    clip, tmp_path, slow_script, monkeypatch, number, status
):
    monkeypatch.setattr("video.schedule.timeline.SEGMENT", 4)
    output = tmp_path / "out.mp4"
    process = run_of(slow_script(output))
    assert wait_until(lambda: any((tmp_path / ".out.mp4.part").glob("0*.json")))
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal sends it
    else:
        os.kill(process.pid, number)
    printed = finish(process, status, timeout=20)
    assert "Traceback" not in printed
    assert wait_until(lambda: not living(process.pid), 10) and not output.exists()
    slow = type("Slow", (Average,), {})()  # the same network, as far as a job can tell
    convert([clip], tmp_path / "whole.mp4", slow)
    assert convert([clip], output, slow, resume=True).frames == 28
    assert output.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_script_without_a_guard_ends_soon_and_starts_no_flood(clip, tmp_path, slow_script):
    process = run_of(slow_script(tmp_path / "out.mp4", guard="if True:"))
    printed = finish(process, 1, timeout=60)
    assert "a worker process has ended" in printed
    assert wait_until(lambda: not living(process.pid), 10) and list(tmp_path.glob("out*")) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_under_torchrun_progress_counts_each_frame_once_and_a_lost_worker_ends_all(clip, tmp_path, slow_script):
    printed = finish(run_of([*RUN, *slow_script(tmp_path / "out.mp4", pause=0)]))
    assert re.search(r"progress \(28, 28\) 28 True", printed), printed
    process = run_of([*RUN, *slow_script(tmp_path / "other.mp4")])
    workers = lambda: [pid for pid in living_below(process.pid) if is_worker(pid)]  # noqa: E731
    assert wait_until(lambda: len(workers()) == 4)
    everything = living_below(process.pid)
    os.kill(workers()[0], signal.SIGKILL)
    printed = finish(process, 1, timeout=60)
    assert "error: a worker process has ended" in printed
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in everything), 10)


def living_below(parent: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    found = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    return found + [pid for child in found for pid in living_below(child)]


def is_worker(pid: int) -> bool:
    try:
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


@pytest.mark.slow
def test_plain_workers_torchrun_and_threads_give_the_same_bytes(clip, tmp_path):
    state = {"model": tiny().state_dict(), "config": vars(TINY)}
    utils.save_checkpoint(tmp_path / "tiny.pth", state)
    given = f"{ROOT}/interpolate.py {clip} --checkpoint {tmp_path}/tiny.pth --device cpu --multiplier 3 --output"
    ways = {
        "plain": ((), [], "2"), "one": ((), [], "1"), "workers": ((), ["--workers", "2"], "2"),
        "torchrun": (RUN, [], "2"),
    }  # fmt: skip
    for name, (prefix, more, count) in ways.items():
        printed = finish(launch(*prefix, *given.split(), f"{tmp_path}/{name}.mp4", *more, OMP_NUM_THREADS=count))
        assert "42/42" in printed and "84/" not in printed
    outputs = {(tmp_path / f"{name}.mp4").read_bytes() for name in ways}
    assert len(outputs) == 1
