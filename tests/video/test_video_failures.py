"""Segments that fail, do not belong together, or do not fit on the disk: nothing under the final name."""

import contextlib
import errno
import resource
from fractions import Fraction

import numpy as np
import pytest
from helpers.clips import RATE, SQUARES, Still, write

from video.frame import Frame
from video.write.codecs import choose_format
from video.write.mux import join
from video.write.segments import segment_writer


def test_a_frame_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match="image is 8x8, but the output is 64x48"):
        write(tmp_path / "a.mp4", [SQUARES[0], SQUARES[0][:8, :8]])
    with pytest.raises(ValueError, match="parts holds no finished segment"):
        join(tmp_path / "parts", choose_format(tmp_path / "a.mp4", Still(48, 64)), tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_segments_of_two_kinds_are_not_joined(tmp_path):
    for index, crf in enumerate((18, 30)):
        form = choose_format(tmp_path / "a.mp4", Still(48, 64), preset=["medium", "ultrafast"][index], crf=crf)
        with segment_writer(tmp_path / "parts", index, form) as writer:
            writer.write(Frame(SQUARES[0], Fraction(index), ""))
    with pytest.raises(ValueError, match=r"000001.nut was encoded in another way"):
        join(tmp_path / "parts", form, tmp_path / "a.mp4")


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_a_failed_segment_is_not_there_and_the_others_are(tmp_path, failure):
    form = choose_format(tmp_path / "a.mp4", Still(48, 64))
    for index in range(2):
        outcome = pytest.raises(type(failure)) if index else contextlib.nullcontext()
        with outcome, segment_writer(tmp_path / "parts", index, form) as writer:
            writer.write(Frame(SQUARES[0], Fraction(0), ""))
            if index:
                raise failure
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["000000.nut"]


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out.mkv"])
def test_a_full_disk_at_the_end_leaves_the_old_file(tmp_path, name):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), np.uint8)
    form = choose_format(tmp_path / name, Still(48, 64))
    with segment_writer(tmp_path / "parts", 0, form) as writer:
        for k, image in enumerate(noise):
            writer.write(Frame(image, k / RATE, ""))
    (tmp_path / name).write_bytes(b"old")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))  # fails as a full disk does, for each file
        with pytest.raises(OSError, match=rf"cannot write .*{name}: File too large"):
            join(tmp_path / "parts", form, tmp_path / name)
        for index, kind in enumerate((form, choose_format(tmp_path / "folder", Still(48, 64)))):
            with (
                pytest.raises(OSError, match=r"cannot write .*: File too large"),
                segment_writer(tmp_path / "more", index, kind) as writer,
            ):
                for k, image in enumerate(noise):
                    writer.write(Frame(image, k / RATE, ""))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / name).read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["more", name, "parts"]
    assert list((tmp_path / "more").glob("*.nut")) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OSError, match="file"),
        segment_writer(tmp_path / "file" / "parts", 0, choose_format(tmp_path / "a.mp4", Still(48, 64))),
    ):
        pass
