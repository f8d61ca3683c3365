"""Nothing finished is lost: interrupted and resumed, by one process or several, the output is the same bytes."""

import os
import signal
from pathlib import Path

import pytest
from helpers.clips import Average
from helpers.interrupted import COUNT, Interrupted, content, hidden, make_source, spoil
from helpers.runs import ROOT, finish, launch

from video import Options, convert
from video.write.job import Job

pytestmark = pytest.mark.usefixtures("short_segments")


@pytest.fixture
def clip(tmp_path) -> Path:
    return make_source(tmp_path)


@pytest.mark.parametrize("name", ["out.mp4", "out", "out.gif"])
@pytest.mark.parametrize(("limit", "error"), [(6, KeyboardInterrupt()), (10, OSError("disk full"))])
def test_an_interrupted_run_is_resumed_to_the_same_bytes(clip, tmp_path, caplog, name, limit, error):
    (tmp_path / "whole").mkdir()
    convert([clip], tmp_path / "whole" / name, Average())
    with pytest.raises(type(error)):
        convert([clip], tmp_path / name, Interrupted(limit, error))
    assert not (tmp_path / name).exists() and hidden(tmp_path) == [f".{name}.part"]
    assert f".{name}.part keeps what is finished; --resume continues there" in caplog.text
    model = Interrupted(99, error)
    summary = convert([clip], tmp_path / name, model, resume=True)
    assert 99 - model.left < COUNT - 4 and summary.frames == 2 * COUNT
    assert content(tmp_path / name) == content(tmp_path / "whole" / name)
    assert hidden(tmp_path) == []


def test_resuming_what_was_never_begun_begins(clip, tmp_path):
    assert convert([clip], tmp_path / "out.mp4", Average(), resume=True).frames == 2 * COUNT


def test_progress_counts_what_was_there(clip, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        convert([clip], tmp_path / "out.mp4", Interrupted(10, KeyboardInterrupt()))
    seen = []
    convert([clip], tmp_path / "out.mp4", Average(), resume=True, on_progress=lambda *args: seen.append(args))
    assert seen == [(done, 28) for done in (*range(16, 29), 28)]


@pytest.mark.parametrize("last", [0, 1])
def test_a_segment_without_its_record_is_made_again(clip, tmp_path, last):
    """What a crash between the two leaves behind."""
    convert([clip], tmp_path / "whole.mp4", Average())
    with pytest.raises(KeyboardInterrupt):
        convert([clip], tmp_path / "out.mp4", Interrupted(10, KeyboardInterrupt()))
    part = tmp_path / ".out.mp4.part"
    (part / f"{last:06d}.json").unlink()
    (part / f"{last:06d}.nut").write_bytes(b"half of it")
    convert([clip], tmp_path / "out.mp4", Average(), resume=True)
    assert content(tmp_path / "out.mp4")["out.mp4"] == content(tmp_path / "whole.mp4")["whole.mp4"]


def test_an_unfinished_run_is_not_touched_unasked_and_not_mixed_with_another(clip, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        convert([clip], tmp_path / "out.mp4", Interrupted(10, KeyboardInterrupt()))
    part = tmp_path / ".out.mp4.part"
    before = content(part)
    with pytest.raises(
        FileExistsError, match=r"out.mp4.part holds an unfinished run; --resume continues it, --overwrite"
    ):
        convert([clip], tmp_path / "out.mp4", Average())
    with pytest.raises(ValueError, match=r"belongs to another job .*multiplier was None, is 4"):
        convert([clip], tmp_path / "out.mp4", Average(), Options(multiplier=4), resume=True, overwrite=True)
    with pytest.raises(
        ValueError, match=r"belongs to another job .--crf was None, is 30, --duplicates drop was"
    ) as told:
        convert([clip], tmp_path / "out.mp4", Average(), Options(crf=30, drop_duplicates=True), resume=True)
    assert "Format" not in str(told.value)
    with pytest.raises(ValueError, match=r"belongs to another job .weights was Average"):
        convert([clip], tmp_path / "out.mp4", type("Other", (Average,), {})(), resume=True)
    os.utime(clip, (1, 1))
    with pytest.raises(ValueError, match=r"belongs to another job .source was"):
        convert([clip], tmp_path / "out.mp4", Average(), resume=True)
    assert content(part) == before
    assert convert([clip], tmp_path / "out.mp4", Average(), Options(multiplier=4), overwrite=True).frames == 4 * COUNT
    assert hidden(tmp_path) == []


def test_a_signal_while_a_run_begins_leaves_no_folder(tmp_path, monkeypatch):
    def interrupted(path, content):
        path.write_text("half of it")
        raise SystemExit(143)

    monkeypatch.setattr("video.write.job._write", interrupted)
    job = Job(tmp_path / "out.mp4")
    with pytest.raises(SystemExit):
        job.begin({"source": "a"}, resume=False, overwrite=False)
    assert not job.folder.exists()


def test_a_folder_of_another_version_says_so(tmp_path):
    job = Job(tmp_path / "out.mp4")
    job.begin({"format": "Format(old)"}, resume=False, overwrite=False)
    with pytest.raises(ValueError, match=r"job .another version of this program stores its frames in another way"):
        job.begin({"format": "Format(new)"}, resume=True, overwrite=False)


@pytest.mark.parametrize("name", ["out.mp4", "out"])
@pytest.mark.parametrize("how", ["missing", "short", "no record"])
def test_a_segment_that_is_not_as_it_was_finished_is_made_again(clip, tmp_path, name, how):
    (tmp_path / "whole").mkdir()
    convert([clip], tmp_path / "whole" / name, Average())
    with pytest.raises(KeyboardInterrupt):
        convert([clip], tmp_path / name, Interrupted(10, KeyboardInterrupt()))
    part = tmp_path / f".{name}.part"
    pattern = "000001.json" if how == "no record" else "000000.nut" if "." in name else "frames/000003.png"
    spoil(list(part.glob(pattern)), how)
    assert convert([clip], tmp_path / name, Average(), resume=True).frames == 2 * COUNT
    assert content(tmp_path / name) == content(tmp_path / "whole" / name)


def test_what_is_no_part_folder_is_left_alone(tmp_path):
    job = Job(tmp_path / "out.mp4")
    job.folder.mkdir()
    (job.folder / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="is in the way, and is not an unfinished run"):
        job.begin({}, resume=True, overwrite=True)
    (job.folder / "thesis.txt").rename(job.folder / ".job.x.part.json")  # what a crash in the first moment leaves
    job.begin({"a": "b"}, resume=True, overwrite=False)
    for text in ("{ half", "[]"):
        (job.folder / "job.json").write_text(text)
        with pytest.raises(ValueError, match=r"belongs to another job .its job.json cannot be read.; --overwrite"):
            job.begin({"a": "b"}, resume=True, overwrite=False)


def test_a_killed_process_leaves_what_resume_needs(clip, tmp_path):
    code = f"""
import os, video.schedule.timeline
from helpers.clips import Average
from video import convert
video.schedule.timeline.SEGMENT = 4
class Deadly(Average):
    count = 0
    def interpolate(self, *images, **options):
        self.count += 1
        if self.count == 10:
            os.kill(os.getpid(), {signal.SIGKILL.value})
        return super().interpolate(*images, ratio=None)
Deadly.__name__ = "Average"
convert([{str(clip)!r}], {str(tmp_path / "out.mp4")!r}, Deadly())
"""
    finish(launch("-c", code, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}"), status=-signal.SIGKILL)
    assert not (tmp_path / "out.mp4").exists()
    assert len(Job(tmp_path / "out.mp4").records()) >= 1
    convert([clip], tmp_path / "whole.mp4", Average())
    convert([clip], tmp_path / "out.mp4", Average(), resume=True)
    assert content(tmp_path / "out.mp4")["out.mp4"] == content(tmp_path / "whole.mp4")["whole.mp4"]
    assert hidden(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.mp4", "out"])
def test_torchrun_gives_the_bytes_of_one_process(clip, tmp_path, name):
    script = tmp_path / "both.py"
    script.write_text(
        "import sys, video.schedule.timeline\nfrom helpers.clips import Average\n"
        "from utils import init_distributed, run_script\nfrom video import convert\n"
        "video.schedule.timeline.SEGMENT = 4\n"
        "def main(output):\n    process = init_distributed('cpu')\n"
        f"    convert([{str(clip)!r}], output, Average(), process=process)\n"
        "run_script(main, sys.argv[1])\n"
    )
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script), str(tmp_path / name))
    finish(launch(*command, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}"))
    (tmp_path / "whole").mkdir()
    convert([clip], tmp_path / "whole" / name, Average())
    assert content(tmp_path / name) == content(tmp_path / "whole" / name)
    assert hidden(tmp_path) == []
    Job(tmp_path / "other.mp4").begin({"multiplier": "3"}, resume=False, overwrite=False)
    command = (*command[:-1], str(tmp_path / "other.mp4"))
    failed = finish(launch(*command, PYTHONPATH=f"{ROOT}:{ROOT / 'tests'}"), status=1)
    assert failed.count("error: ") == 2 == failed.count("holds an unfinished run")
