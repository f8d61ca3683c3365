"""Sound, subtitles, chapters, metadata, attachments, covers, pixel shape and colour tags: carried as they are."""

import contextlib
import io
import json
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from helpers.clips import SQUARES, convert, encode_tone, make_clip, packets
from PIL import Image

from video.read.reader import DamagedVideo, VideoReader
from video.write.carried import Carried
from video.write.codecs import choose_format
from video.write.mux import join
from video.write.segments import segment_writer

TEXTS = [(100, 400, b"hello"), (500, 900, b"there")]  # start and end in milliseconds
needs_ffprobe = pytest.mark.skipif(not shutil.which("ffprobe"), reason="ffprobe (Debian: ffmpeg) is not installed")


@pytest.fixture(scope="module")
def rich(tmp_path_factory) -> Path:
    """A Matroska file with everything: two sounds, subtitles, chapters, a font, a cover, titles and languages."""
    folder = tmp_path_factory.mktemp("rich")
    picture = make_clip(folder / "picture.mkv", SQUARES * 4, rate=25, aspect=Fraction(4, 3))
    with av.open(str(picture)) as source, av.open(str(folder / "rich.mkv"), "w") as container:
        video = container.add_stream_from_template(source.streams.video[0], opaque=True)
        sounds = [container.add_stream("aac", rate=48000) for _ in range(2)]
        for sound, language in zip(sounds, ("deu", "fra"), strict=True):
            sound.metadata.update(language=language, title=f"in {language}")
        sounds[1].disposition = Disposition.default
        subtitles = container.add_mux_stream("subrip")
        subtitles.metadata["language"] = "eng"
        container.add_attachment("font.ttf", "font/ttf", b"not really a font")
        cover = io.BytesIO()
        Image.fromarray(SQUARES[0]).save(cover, "PNG")
        container.add_attachment("cover.png", "image/png", cover.getvalue())
        container.metadata.update(title="A film", artist="Somebody")
        unit = Fraction(1, 1000)
        times = ({"start": 480 * k, "end": 480 * (k + 1), "metadata": {"title": f"Part {k}"}} for k in range(2))
        container.set_chapters([{"id": k, "time_base": unit, **chapter} for k, chapter in enumerate(times)])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                container.mux(packet)
        for sound in sounds:
            encode_tone(container, sound, 0.96)
        for start, end, text in TEXTS:
            packet = av.Packet(text)
            packet.stream, packet.time_base = subtitles, unit
            packet.pts = packet.dts = start
            packet.duration = end - start
            container.mux(packet)
    return folder / "rich.mkv"


def describe(path: Path) -> list[tuple]:
    """Type, codec, language and title of every stream."""
    with av.open(str(path)) as container:
        return [
            (
                stream.type,
                stream.codec_context and stream.codec_context.codec.canonical_name,
                stream.metadata.get("language"),
                stream.metadata.get("title"),
                bool(stream.disposition & Disposition.attached_pic),
            )
            for stream in container.streams
        ]


def times(path: Path, kind: str) -> list[list[Fraction]]:
    with av.open(str(path)) as container:
        found = {stream: [] for stream in getattr(container.streams, kind)}
        for packet in container.demux(*found):
            if packet.size:
                found[packet.stream].append(packet.pts * packet.time_base)
    return list(found.values())


def test_matroska_carries_everything(tmp_path, rich):
    output = convert(rich, tmp_path / "b.mkv", end=Fraction(96, 100))
    assert describe(output) == describe(rich)
    for kind in ("audio", "subtitles"):
        assert packets(output, kind) == packets(rich, kind) and times(output, kind) == times(rich, kind)
    with av.open(str(output)) as ours, av.open(str(rich)) as theirs:
        assert ours.metadata["title"] == "A film" and ours.metadata["ARTIST"] == "Somebody"
        assert ours.chapters() == theirs.chapters()
        assert [s.data for s in ours.streams.attachments] == [b"not really a font"]
        assert [int(s.disposition) for s in ours.streams] == [int(s.disposition) for s in theirs.streams]
        assert VideoReader(output).aspect == Fraction(4, 3)


def test_mp4_carries_what_it_holds_and_names_the_rest(tmp_path, rich, caplog):
    output = convert(rich, tmp_path / "b.mp4", end=Fraction(96, 100))
    assert "left out: subtitle (srt), attachment (font.ttf); mp4 cannot hold that; .mkv holds most" in caplog.text
    assert packets(output) == packets(rich)
    assert {row[:3] for row in describe(output)} >= {("audio", "aac", "deu"), ("audio", "aac", "fra")}
    with av.open(str(output)) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["Part 0", "Part 1"]
        assert container.metadata["title"] == "A film"
        (cover,) = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        assert cover.codec_context.name == "png"
    assert VideoReader(output).aspect == Fraction(4, 3)
    caplog.clear()
    again = convert(output, tmp_path / "c.mp4")  # chapters of mp4 are no lost data
    assert packets(again) == packets(output) and not caplog.records
    with av.open(str(again)) as container:
        assert len(container.chapters()) == 2


def test_stretched_time_has_no_sound_and_stretched_chapters(tmp_path, rich, caplog):
    output = convert(rich, tmp_path / "b.mkv", stretch=Fraction(4))
    assert "left out: audio (aac), audio (aac), subtitle (srt); time is stretched" in caplog.text
    assert packets(output) == [] and packets(output, "subtitles") == []
    with av.open(str(output)) as container:
        assert [(c["start"], c["end"]) for c in container.chapters()] == [
            (0, 1920 * 10**6), (1920 * 10**6, 3840 * 10**6)
        ]  # fmt: skip


def test_sound_ends_where_the_picture_does(tmp_path, rich):
    output = convert(rich, tmp_path / "b.mkv", end=Fraction(1, 2))
    assert max(max(track) for track in times(output, "audio")) < Fraction(1, 2)
    assert len(times(output, "subtitles")[0]) == 1
    with av.open(str(output)) as container:
        assert [round(c["end"] * c["time_base"], 3) for c in container.chapters()] == [
            Fraction(48, 100),
            Fraction(1, 2),
        ]


def test_a_file_without_sound_just_works(tmp_path, caplog):
    assert (
        len(describe(convert(make_clip(tmp_path / "a.mp4", SQUARES), tmp_path / "b.mp4"))) == 1 and not caplog.records
    )


def test_a_container_that_cannot_hold_the_sound_says_so_and_drops_it(tmp_path, caplog):
    source = make_clip(tmp_path / "a.mp4", SQUARES, sound=[0.2])
    assert packets(convert(source, tmp_path / "b.webm")) == []
    assert "left out: audio (aac); webm cannot hold that; .mkv holds most" in caplog.text


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_sound_stays_in_time_when_the_source_starts_late(tmp_path, suffix):
    starts = [90000 + 3600 * k for k in range(6)]
    source = make_clip(tmp_path / "a.ts", SQUARES, times=starts, sound=[1.2], rate=25)
    with av.open(str(source)) as container:
        late = container.streams.video[0].start_time / 90000 - container.start_time / 1e6
    output = convert(source, tmp_path / f"b{suffix}")
    assert late > 0.9
    assert float(times(output, "video")[0][0]) == pytest.approx(late, abs=2e-3)
    assert float(times(output, "audio")[0][0]) == pytest.approx(0, abs=2e-3)


def test_metadata_in_another_encoding_is_no_reason_to_stop(tmp_path):
    source = make_clip(tmp_path / "a.mkv", SQUARES, metadata={"title": "M__ller"})
    content = source.read_bytes()
    assert content.count(b"M__ller") == 1
    source.write_bytes(content.replace(b"M__ller", b"M\xfc\xfcller"))  # Latin-1
    with av.open(str(convert(source, tmp_path / "b.mkv"))) as container:
        assert container.metadata["title"].endswith("ller")


def test_of_a_damaged_file_picture_and_sound_go_as_far_as_they_can_be_read(tmp_path):
    source = make_clip(tmp_path / "a.mkv", SQUARES * 4, sound=[0.9])
    whole = packets(source)[0]
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * 0.6)])
    reader = VideoReader(source)
    form = choose_format(tmp_path / "b.mkv", reader)
    with segment_writer(tmp_path / "parts", 0, form) as writer, contextlib.suppress(DamagedVideo):
        for frame in reader.frames():
            writer.write(frame)
    assert 5 < writer.count < 24
    join(tmp_path / "parts", form, tmp_path / "b.mkv", carried=Carried(reader))
    copied = packets(tmp_path / "b.mkv")[0]
    assert 5 < len(copied) < len(whole) and copied == whole[: len(copied)]


def test_damaged_packets_of_sound_are_left_out_and_counted(tmp_path, caplog):
    source = make_clip(tmp_path / "a.ts", SQUARES * 4, sound=[0.9], rate=25)
    content = bytearray(source.read_bytes())
    start = content.find(b"\xff\xf1", content.find(b"\xff\xf1") + 400)  # the head of a later packet of AAC
    content[start + 3 : start + 6] = b"\xff\xff\xff"
    source.write_bytes(content)
    output = convert(source, tmp_path / "b.mp4")
    assert len(packets(output)) == 1 and len(packets(output, "video")[0]) == 48
    assert re.search(r"a.ts: \d+ damaged packets of sound or subtitles left out", caplog.text)


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1", "ffv1"])
@pytest.mark.parametrize(
    "colour",
    [(1, 1, 1, 1), (6, 1, 6, 6), (9, 1, 9, 16), (9, 1, 9, 18), (1, 2, 1, 13)],
    ids=["709", "601", "PQ", "HLG", "full"],
)
def test_colour_tags_are_written_as_they_were_read(tmp_path, codec, colour):
    image = np.full((64, 96, 3), (180, 60, 90), np.uint8)
    source = make_clip(tmp_path / "a.mkv", [image, image], colour=colour, codec="ffv1", pix_fmt="yuv420p10le")
    output = convert(source, tmp_path / "b.mkv", codec=codec, **({} if codec == "ffv1" else {"crf": 4}))
    for path in (source, output):
        reader = VideoReader(path)
        matrix, range_, primaries, transfer = colour
        assert reader.colour == (matrix, primaries, transfer, range_ == 2)
        frame = next(reader.frames()).image
        levels = np.abs(frame / np.iinfo(frame.dtype).max * 255 - image)
        assert levels.max() <= (2 if frame.dtype == np.uint16 else 3)  # one code of 8-bit chroma is 2 levels of blue
    if shutil.which("ffprobe"):
        names = {1: "bt709", 6: "smpte170m", 9: "bt2020nc", 16: "smpte2084", 18: "arib-std-b67", 13: "iec61966-2-1"}
        video = probe(output)["streams"][0]
        assert video["color_space"] == names[matrix] and video["color_range"] == ("pc" if range_ == 2 else "tv")
        assert video["color_transfer"] == names[transfer]
        assert video["color_primaries"] == ("bt2020" if primaries == 9 else names[primaries])


def probe(path: Path) -> dict:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters", "-of", "json", path]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


@needs_ffprobe
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_ffprobe_finds_every_stream_at_its_place_and_of_its_length(tmp_path, rich, suffix):
    found = probe(convert(rich, tmp_path / f"b{suffix}", end=Fraction(96, 100)))
    assert [s["codec_name"] for s in found["streams"][:3]] == ["h264", "aac", "aac"]
    if suffix != ".mov":  # it knows languages by other codes
        assert [s["tags"]["language"] for s in found["streams"][1:3]] == ["deu", "fra"]
    video = found["streams"][0]
    assert (video["width"], video["height"], video["sample_aspect_ratio"]) == (64, 48, "4:3")
    assert Fraction(video["r_frame_rate"]) == 50 and float(video["start_time"]) == pytest.approx(0, abs=1e-3)
    assert float(found["format"]["duration"]) == pytest.approx(0.96, abs=0.03)  # a packet of sound lasts 21 ms
    assert [chapter["tags"]["title"] for chapter in found["chapters"]] == ["Part 0", "Part 1"]
    assert found["format"]["tags"]["title"] == "A film"


@needs_ffprobe
def test_h265_in_mp4_is_tagged_for_every_player(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    output = convert(make_clip(tmp_path / "a.mp4", [image, image]), tmp_path / "b.mp4", codec="h265")
    assert probe(output)["streams"][0]["codec_tag_string"] == "hvc1"
