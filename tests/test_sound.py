"""Uncompressed sound in every container that players can be trusted with."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import SQUARES, Average, packets

from video import Options, convert

RAMP = np.arange(24000) * 7919 % 60001 / 32768 - 0.9  # 0.5 s of mono, none of whose samples are alike


def make_plain(path: Path, codec: str) -> Path:
    """Half a second of picture and of uncompressed sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("ffv1" if path.suffix == ".mkv" else "mpeg4", rate=12, pix_fmt="yuv420p")
        video.height, video.width = SQUARES[0].shape[:2]
        sound = container.add_stream(codec, rate=48000, layout="mono")
        for image in SQUARES:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(video.encode())
        source = np.float64(RAMP)[None]
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=48000)
        for start in range(0, source.shape[1], 1000):
            frame = av.AudioFrame.from_ndarray(source[:, start : start + 1000].copy(), format="dbl", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            for part in resampler.resample(frame):
                container.mux(sound.encode(part))
        container.mux(sound.encode())
    return path


def samples(path: Path) -> np.ndarray:
    """Of the only sound, in [-1, 1], and when they begin."""
    resampler = av.AudioResampler(format="dbl", layout="mono", rate=48000)
    with av.open(str(path)) as container:
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate([part.to_ndarray()[0] for part in [*parts, *resampler.resample(None)]])


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8", "pcm_f64le"])
@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv"])
def test_uncompressed_sound_is_heard_everywhere(tmp_path, codec, suffix, caplog):
    source = make_plain(tmp_path / "a.mov", codec)
    output = convert([source], tmp_path / f"b{suffix}", Average(), Options()).output
    with av.open(str(output)) as container:
        (stream,) = container.streams.audio
        name, begins = stream.codec_context.name, (stream.start_time or 0) * stream.time_base
    given, copied = samples(source), samples(output)
    assert begins == 0 and copied.shape == given.shape
    if suffix in (".mov", ".mkv"):
        assert name == codec
    if name == codec:
        assert b"".join(packets(output)[0]) == b"".join(packets(source)[0]) and not caplog.records
    else:
        assert name == "alac" and "stored as ALAC" in caplog.text
    exact = codec not in ("pcm_s32le", "pcm_f32le", "pcm_f64le") or name == codec
    assert np.abs(copied - given).max() <= (0 if exact else 2**-23)
    assert ("without loss" in caplog.text) == (name == "alac" and exact)


def test_only_the_asked_for_seconds_are_encoded(tmp_path):
    source = make_plain(tmp_path / "a.mov", "pcm_s24le")
    output = convert([source], tmp_path / "b.mp4", Average(), Options(seconds=Fraction(1, 4))).output
    assert 12000 <= len(samples(output)) <= 12000 + 4096
    slow = convert([source], tmp_path / "c.mp4", Average(), Options(slow=2)).output
    assert packets(slow) == []
