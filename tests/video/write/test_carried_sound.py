"""Sounds that a container holds although PyAV's list of its codecs does not name them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import SQUARES, Average, packets

from video import convert

# By encoder: a container for it, and samples a second.
UNLISTED = {
    "wmav1": (".asf", 44100), "wmav2": (".asf", 44100), "pcm_mulaw": (".avi", 8000), "pcm_alaw": (".avi", 8000),
    "adpcm_ms": (".avi", 22050), "adpcm_ima_wav": (".avi", 22050), "g726": (".avi", 8000),
}  # fmt: skip
LISTED = {"pcm_s16le": (".avi", 8000), "mp2": (".avi", 44100)}


def make(folder: Path, codec: str) -> Path:
    """Six frames and their time of sound."""
    suffix, rate = (UNLISTED | LISTED)[codec]
    path = folder / f"{codec}{suffix}"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25, width=64, height=48, pix_fmt="yuv420p")
        sound = container.add_stream(codec, rate=rate, layout="mono")
        sound.bit_rate = 32000
        for index, image in enumerate(SQUARES):
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        wave = (np.sin(np.arange(rate * len(SQUARES) // 25) / 9) * 9000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, "s16", "mono")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(sound.encode(frame))
        container.mux([*sound.encode(), *video.encode()])
    return path


@pytest.mark.parametrize("codec", [*UNLISTED, *LISTED])
def test_matroska_keeps_what_its_muxer_takes(tmp_path, caplog, codec):
    clip = make(tmp_path, codec)
    folder = tmp_path / "it's a |[folder]: of \\ mine"
    folder.mkdir()
    convert([clip], folder / "out.mkv", Average())
    assert packets(folder / "out.mkv") == packets(clip) != [[]]
    with av.open(str(folder / "out.mkv")) as container:
        assert container.streams.audio[0].codec_context.name == codec
        assert sum(frame.samples for frame in container.decode(audio=0)) > 0
    assert "left out" not in caplog.text
    assert [path.name for path in folder.iterdir()] == ["out.mkv"]


def test_what_a_container_cannot_hold_is_still_left_out(tmp_path, caplog):
    convert([make(tmp_path, "wmav2")], tmp_path / "out.webm", Average())
    assert "left out: audio (wmav2); webm cannot hold that; .mkv holds most" in caplog.text


def test_chapters_beside_such_a_sound_are_told(tmp_path, caplog):
    path = tmp_path / "a.mov"
    with av.open(str(make(tmp_path, "pcm_mulaw"))) as source, av.open(str(path), "w") as target:
        copies = {stream: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        target.set_chapters([{"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {}}])
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream]
                target.mux(packet)
    convert([path], tmp_path / "out.mkv", Average())
    assert packets(tmp_path / "out.mkv") == packets(path) != [[]]
    assert "a.mov: left out: chapters; they cannot be written beside its kind of sound" in caplog.text
