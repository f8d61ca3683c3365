"""Clips as triplets, and the cache of their frames: the same triplets whatever is kept, and where."""

import logging
import os
import threading

import numpy as np
import pytest
import torch
from helpers.clips import make_clip, square
from torch.utils.data import DataLoader

import datasets.clips
from datasets import ClipTriplets, open_mixture

FRAME = 48 * 64 * 3 / 2**30  # GiB


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "a.mp4", [square(i) for i in range(5)])
    make_clip(folder / "b.mp4", [square(i) for i in range(2)])
    make_clip(folder / "c.mkv", [square(i + 4) for i in range(3)])
    return folder


def test_every_three_consecutive_frames_are_a_triplet(folder):
    triplets = ClipTriplets(folder)
    assert triplets.names == ["a.mp4:0", "a.mp4:1", "a.mp4:2", "c.mkv:0"]
    for index, first in enumerate([0, 1, 2, 4]):
        for frame, shift in zip(triplets[index], range(3), strict=True):
            true = torch.from_numpy(square(first + shift)).permute(2, 0, 1)
            assert frame.dtype == torch.uint8
            assert float((frame.float() - true.float()).abs().mean()) < 3


def test_every_stride_adds_triplets_of_its_own_motion(folder):
    triplets, consecutive = ClipTriplets(folder, strides=(1, 2)), ClipTriplets(folder)
    assert triplets.names == [*consecutive.names, "a.mp4:0:2"]
    near = [consecutive[0], consecutive[1], consecutive[2]]
    for frame, expected in zip(triplets[4], [near[0].img0, near[1].imgt, near[2].img1], strict=True):
        assert torch.equal(frame, expected)
    for strides in ([], [0], [2, 2]):
        with pytest.raises(ValueError, match=r"strides must be positive, each given once; got \["):
            ClipTriplets(folder, strides=strides)


def test_a_moment_is_the_nearest_inner_frame_and_says_when_it_is(folder):
    triplets = ClipTriplets(folder, strides=[2])
    clip = datasets.clips.decode_clip(sorted(folder.glob("*.mp4"))[0])
    for time, inner in ((0.0, 1), (0.3, 1), (0.45, 2), (0.7, 3), (0.999, 3)):
        triplet, found = triplets.moment(0, time)
        assert found == inner / 4
        assert all(torch.equal(a, b) for a, b in zip(triplet, clip[[0, inner, 4]], strict=True))
    alone, time = ClipTriplets(folder).moment(0, 0.9)
    assert time == 0.5
    assert all(torch.equal(a, b) for a, b in zip(alone, ClipTriplets(folder)[0], strict=True))


def test_a_folder_without_clips_and_clips_that_do_not_decode_are_named(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match="no clips"):
        ClipTriplets(tmp_path)
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    (tmp_path / "worse.mp4").write_bytes((folder / "a.mp4").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"2 clips cannot be read: .*bad\.mp4.*worse\.mp4"):
        ClipTriplets(tmp_path)


def test_clips_too_short_for_a_triplet_are_refused(tmp_path, folder):
    (tmp_path / "b.mp4").write_bytes((folder / "b.mp4").read_bytes())
    with pytest.raises(ValueError, match=r"no clip in .* has three frames"):
        ClipTriplets(tmp_path)


def contents(triplets):
    return [torch.stack(tuple(triplet)) for triplet in triplets]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(contents(a), contents(b), strict=True))


@pytest.fixture
def decoded(monkeypatch):
    """The names of the clips that are decoded from now on."""
    names, decode = [], datasets.clips.decode_clip

    def spy(path, stop=None):
        names.append(path.name)
        return decode(path, stop)

    monkeypatch.setattr(datasets.clips, "decode_clip", spy)
    return names


@pytest.mark.parametrize(("frames", "kept"), [(0, 0), (4, 2), (5, 5), (7, 7), (9, 7), (10, 10)])
@pytest.mark.parametrize("in_files", [False, True])
def test_a_cache_of_any_size_gives_the_same_triplets_and_stays_below_it(
    folder, tmp_path, caplog, frames, kept, in_files
):
    # The clips have 5, 2 and 3 frames and take what room is left in this order.
    place = tmp_path / "cache" if in_files else None
    triplets = ClipTriplets(folder, cache_gib=frames * FRAME, cache_folder=place)
    assert triplets.cached == kept * 48 * 64 * 3
    assert triplets.names == ClipTriplets(folder).names and same(triplets, ClipTriplets(folder))
    assert ("do not fit into a cache" in caplog.text) == (kept < 10)
    if in_files:
        assert sum(np.load(file).nbytes for file in place.glob("*.npy")) == triplets.cached


def test_the_first_frames_of_a_clip_are_those_of_the_whole(folder):
    whole = datasets.clips.decode_clip(folder / "a.mp4")
    assert torch.equal(datasets.clips.decode_clip(folder / "a.mp4", 3), whole[:3])


def test_what_is_in_memory_is_decoded_once(folder, decoded):
    triplets = ClipTriplets(folder)
    contents(triplets)
    assert decoded == ["a.mp4", "b.mp4", "c.mkv"]


def test_what_is_in_a_folder_is_decoded_by_the_first_who_comes(folder, tmp_path, decoded):
    first = ClipTriplets(folder, cache_folder=tmp_path)
    assert len(decoded) == 3
    again = ClipTriplets(folder, cache_folder=tmp_path)
    assert same(first, again) and len(decoded) == 3


def test_who_comes_second_waits_for_the_first(folder, tmp_path, decoded):
    with datasets.clips._locked(tmp_path):
        second = threading.Thread(target=ClipTriplets, args=(folder,), kwargs={"cache_folder": tmp_path})
        second.start()
        second.join(0.5)
        assert second.is_alive() and not decoded
    second.join(30)
    assert len(decoded) == 3


def test_what_a_folder_holds_already_is_read_however_little_may_be_added(folder, tmp_path, decoded):
    ClipTriplets(folder, cache_gib=5 * FRAME, cache_folder=tmp_path)
    again = ClipTriplets(folder, cache_gib=0, cache_folder=tmp_path)
    assert again.cached == 5 * 48 * 64 * 3
    assert decoded == ["a.mp4", "b.mp4", "c.mkv", "b.mp4", "c.mkv"]


def test_a_clip_that_changed_is_decoded_again(folder, tmp_path, decoded):
    source = tmp_path / "clips"
    source.mkdir()
    make_clip(source / "a.mp4", [square(i) for i in range(3)])
    ClipTriplets(source, cache_folder=tmp_path / "cache")
    make_clip(source / "a.mp4", [square(i + 3) for i in range(3)])
    os.utime(source / "a.mp4", (1, 1))
    assert same(ClipTriplets(source, cache_folder=tmp_path / "cache"), ClipTriplets(source))
    assert decoded == ["a.mp4"] * 3


@pytest.mark.parametrize("content", [b"", b"broken", None])
def test_a_broken_file_in_the_cache_is_made_again(folder, tmp_path, content):
    ClipTriplets(folder, cache_folder=tmp_path)
    file = next(tmp_path.glob("a-*.npy"))
    file.write_bytes(file.read_bytes()[:1000] if content is None else content)
    assert same(ClipTriplets(folder, cache_folder=tmp_path), ClipTriplets(folder))


def test_a_full_disk_is_reported_with_the_file_and_leaves_none(folder, tmp_path, monkeypatch):
    def full(path, array):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match=r"cannot write .*a-.*npy: No space left on device; give another cache folder"):
        ClipTriplets(folder, cache_folder=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize("size", [-1, float("nan"), float("inf")])
def test_an_impossible_size_is_refused(folder, size):
    with pytest.raises(ValueError, match=f"0 or more GiB, got {size}"):
        ClipTriplets(folder, cache_gib=size)


def test_clips_that_do_not_decode_are_skipped_on_request_and_named(folder, tmp_path, caplog):
    (tmp_path / "a.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    mixture = open_mixture(tmp_path, "train", skip_bad=True)
    assert len(mixture) == 3 and mixture.skipped() == [f"{tmp_path}/bad.mp4"]
    assert "a clip is skipped" in caplog.text and "bad.mp4 is not a video" in caplog.text


def test_a_mixture_shares_one_cache(folder, tmp_path, caplog):
    (tmp_path / "a.mp4").write_bytes((folder / "a.mp4").read_bytes())
    caplog.set_level(logging.WARNING)
    mixture = open_mixture([folder, tmp_path], "train", cache_gib=12 * FRAME)
    assert [part.cached / (48 * 64 * 3) for part in mixture.parts.values()] == [10, 0]
    assert "1 of 1 clips do not fit" in caplog.text


@pytest.mark.parametrize("in_files", [False, True])
def test_workers_read_what_the_main_process_keeps(folder, tmp_path, in_files):
    triplets = ClipTriplets(folder, cache_folder=tmp_path if in_files else None)
    loader = DataLoader(triplets, batch_size=None, num_workers=2)
    assert same(list(loader), triplets)


def test_a_clip_of_a_long_name_is_kept_in_files_too(tmp_path):
    name = f"{'é' * 120}.mp4"
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / name, [square(k) for k in range(3)])
    for _ in range(2):
        triplets = ClipTriplets(tmp_path / "clips", cache_folder=tmp_path / "cache")
        assert triplets.names == [f"{name}:0"]
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
