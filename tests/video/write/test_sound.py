"""Uncompressed sound in every container that players can be trusted with."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import Average, make_plain, packets

from video import Options, convert


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
