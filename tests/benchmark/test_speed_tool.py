"""The benchmark of the whole tool: a row for every method, runs that did what they say, and shares of the stages."""

import json

import av
import pytest
from helpers.clips import SQUARES, make_clip

from benchmark import speed as command
from benchmark.measure import tool
from benchmark.measure.results import TOOL_COLUMNS, format_tool_table
from benchmark.methods import Function
from video import VideoReader
from video.schedule.timeline import plan

SIZE = (64, 48)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "squares.mp4", SQUARES)


@pytest.fixture(scope="module")
def measured(clip):
    """All rows of one size, and the calls of a peer."""
    calls = []

    def middle(img0, img1):
        calls.append(img0.shape)
        return (img0 + img1) / 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tool.shutil, "which", lambda name: None)
        peers = (Function(middle, "their network"),)
        (rows,) = tool.measure_tool(tool.ToolSetting(clip, length=3, peers=peers), [SIZE])
        return rows, calls


def test_there_is_a_row_for_every_method(measured):
    rows, _ = measured
    names = [row.method for row in rows]
    assert names == [tool.OURS, tool.FFMPEG, tool.IN_PROCESS, "their network", tool.FREE]
    assert {row.size for row in rows} == {SIZE}
    assert [row.run and row.run.frames for row in rows] == [6, None, 6, 6, 6]


def test_a_missing_ffmpeg_is_said_in_its_row(measured):
    rows, _ = measured
    table = format_tool_table(rows).splitlines()
    assert f"| {tool.FFMPEG} | ffmpeg is not on PATH |" in table[3]
    assert len(table) == 2 + len(rows) and {line.count("|") for line in table} == {len(TOOL_COLUMNS) + 1}


def test_a_peer_makes_the_frames_between(measured):
    _, calls = measured
    assert len(calls) == 3 and set(calls) == {(1, 3, 48, 64)}  # one in the run that does not count


def test_stages_are_clocked_in_pipelines_and_start_up_in_programs(measured):
    rows, _ = measured
    program, pipelines = rows[0].run, [row.run for row in rows[2:]]
    assert 0 < program.first < program.seconds * 2 and program.stages is None
    for run in pipelines:
        assert run.first is None and list(run.stages) == list(tool.STAGES)
        assert all(0 < seconds < run.seconds for seconds in run.stages.values())
    assert rows[-1].free == 1 and rows[0].free is None
    assert rows[2].free == rows[-1].run.seconds / rows[2].run.seconds


def test_all_cpu_time_of_a_pipeline_is_of_the_network_the_codecs_or_the_pipeline_itself(measured):
    rows, _ = measured
    assert rows[0].run.cpu is None
    for row in rows[2:]:
        assert list(row.run.cpu) == list(tool.SHARES)
        assert all(seconds > 0 for seconds in row.run.cpu.values())
    ours, free = rows[2].run.cpu, rows[-1].run.cpu
    assert ours["network"] > free["network"]
    assert ours["pipeline"] / sum(ours.values()) < free["pipeline"] / sum(free.values())


def test_the_pipeline_is_what_its_threads_do_but_for_network_and_codecs():
    seconds = {"all": 10.0, "network": 7.0, "plan": 3.0, "decoder": 1.0, "sink": 5.0, "encoder": 4.5, "conversion": 0.5}
    assert tool._shares(seconds, 30.0) == {"network": 7.0, "codecs": 17.0, "pipeline": 6.0}


def test_clocks_are_gone_after_a_run(measured):
    for owner, name in (
        *((VideoReader, "frames"), (tool.Pictures, "_decode"), (tool.Sink, "write")),
        *((tool.SegmentWriter, "write"), (tool.SegmentWriter, "finish")),
    ):
        assert getattr(owner, name).__qualname__ == f"{owner.__name__}.{name}"
    assert tool.making.plan is plan and tool.segments.as_stored.__name__ == "as_stored"


def test_the_clip_is_scaled_and_cut(clip, tmp_path):
    with av.open(str(tool.scale_clip(clip, (32, 64), 4, tmp_path / "scaled.mp4"))) as container:
        shapes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert shapes == [(32, 64)] * 4
    with pytest.raises(ValueError, match=r"squares\.mp4 has 1 frame; at least two are needed, name another --clip"):
        tool.scale_clip(clip, SIZE, 1, tmp_path / "one.mp4")


def test_ffmpeg_is_asked_for_twice_the_frames_and_the_same_encoder(clip, tmp_path):
    words = tool.ffmpeg_command(clip, tmp_path / "out.mp4")
    assert "minterpolate=fps=48000/1001:mi_mode=mci" in words
    assert words[words.index("-crf") + 1] == "18" and words[words.index("-c:v") + 1] == "libx264"


def test_a_program_that_fails_is_told_with_its_last_words(clip, tmp_path):
    with pytest.raises(ValueError, match=r"interpolate\.py failed: .*no such file or folder: .*none\.mp4"):
        tool.run_program(tool.interpolate_command, clip, tmp_path / "none.mp4")


def test_the_script_writes_the_table_and_the_numbers(clip, tmp_path, capsys, monkeypatch, measured):
    rows, _ = measured
    monkeypatch.setattr(command, "measure_tool", lambda setting, sizes: iter([rows[:2], rows[2:]]))
    command.main(command.parse_args(["--tool", "--clip", str(clip), "--length", "3", "--output", str(tmp_path)]))
    text = (tmp_path / "tool.md").read_text()
    assert text == capsys.readouterr().out and format_tool_table(rows) in text
    report = json.loads((tmp_path / "tool.json").read_text(), parse_constant=pytest.fail)
    assert [row["method"] for row in report["rows"]] == [row.method for row in rows]
    assert (report["clip"], report["threads"]) == ("squares.mp4", 1)
