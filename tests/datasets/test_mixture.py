"""Several sources as one: every triplet once, by name, and going on where some are bad."""

import numpy as np
import pytest
import torch
from helpers.clips import make_clip, square
from PIL import Image
from torch.utils.data import DataLoader

from datasets import EpochSampler, Mixture, MovingShapes, TrainingAugmentation, TrainingSet, open_mixture, open_triplets

SIZE = (32, 48)


def save_frames(folder, count, level):
    """Frames im1.png, im2.png, ... where every pixel of frame k is `level` + k."""
    folder.mkdir(parents=True)
    for k in range(1, count + 1):
        Image.fromarray(np.full((*SIZE, 3), level + k, np.uint8)).save(folder / f"im{k}.png")


@pytest.fixture
def triplets(tmp_path):
    """Four triplets; the first pixels of triplet n are 20 n + 1, 2, 3."""
    root = tmp_path / "triplets"
    for n in range(4):
        save_frames(root / "sequences" / "00001" / f"000{n}", 3, 20 * n)
    (root / "tri_trainlist.txt").write_text("".join(f"00001/000{n}\n" for n in range(4)))
    (root / "tri_testlist.txt").write_text("00001/0003\n")
    return root


@pytest.fixture
def septuplets(tmp_path):
    root = tmp_path / "septuplets"
    for n in range(2):
        save_frames(root / "sequences" / "00002" / f"000{n}", 7, 100 + 10 * n)
    (root / "sep_trainlist.txt").write_text("00002/0000\n00002/0001\n")
    (root / "sep_testlist.txt").write_text("00002/0001\n")
    return root


@pytest.fixture
def clips(tmp_path):
    root = tmp_path / "clips"
    root.mkdir()
    make_clip(root / "a.mp4", [square(i) for i in range(5)])
    return root


def levels(triplet):
    return [frame[0, 0, 0].item() for frame in triplet]


def damage(root, number, frame=2):
    (root / f"sequences/00001/000{number}/im{frame}.png").write_bytes(b"nothing")


def test_septuplets_train_on_every_three_consecutive_frames(septuplets):
    data = open_triplets(septuplets, "train")
    assert data.names == [f"00002/000{n}:{first}" for n in range(2) for first in range(1, 6)]
    assert [levels(triplet) for triplet in data] == [
        [100 + 10 * n + k for k in range(first, first + 3)] for n in range(2) for first in range(1, 6)
    ]


def test_septuplets_test_on_the_frames_around_the_middle(septuplets):
    data = open_triplets(septuplets, "test")
    assert data.names == ["00002/0001:3"]
    assert levels(data[0]) == [113, 114, 115]


def test_septuplets_inside_the_unpacked_archive_are_found(septuplets, tmp_path):
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "vimeo_septuplet").symlink_to(septuplets, target_is_directory=True)
    assert len(open_triplets(tmp_path / "outer", "train")) == 10


def test_a_folder_of_septuplets_lacking_a_frame_is_named(septuplets):
    (septuplets / "sequences/00002/0001/im6.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 triplets lack frames in .*: 00002/0001; .* im1.png.* im7.png"):
        open_triplets(septuplets, "train")
    assert len(open_triplets(septuplets, "test")) == 1  # needs frames 3 to 5 alone


def test_a_list_of_septuplets_that_is_missing_is_named(septuplets):
    (septuplets / "sep_testlist.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no list at .*sep_testlist.txt"):
        open_triplets(septuplets, "test")


def test_a_folder_that_could_be_triplets_or_septuplets_is_refused(septuplets):
    (septuplets / "tri_trainlist.txt").write_text("00002/0000\n")
    with pytest.raises(ValueError, match="both triplets and septuplets; name vimeo_triplet or vimeo_septuplet"):
        open_triplets(septuplets, "train")


def test_a_mixture_is_its_sources_one_after_the_other(triplets, septuplets, clips):
    roots = [triplets, str(septuplets), clips, "shapes:3:32x48"]
    mixture = open_mixture(roots, "train")
    parts = [open_triplets(root, "train") for root in roots]
    assert len(mixture) == len(list(mixture)) == 4 + 10 + 3 + 3
    expected = [
        (f"{root}/{name}", t)
        for root, part in zip(roots, parts, strict=True)
        for name, t in zip(part.names, part, strict=True)
    ]
    for name, triplet, (true_name, true) in zip(mixture.names, mixture, expected, strict=True):
        assert name == true_name
        assert all(torch.equal(a, b) for a, b in zip(triplet, true, strict=True))
    assert len(set(mixture.names)) == len(mixture)


def test_one_root_need_not_be_a_list():
    assert open_mixture("shapes:2", "test").names == ["shapes:2/test/000000", "shapes:2/test/000001"]


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_outside_a_mixture_is_refused(index):
    with pytest.raises(IndexError, match=f"no triplet {index}: there are 2"):
        open_mixture("shapes:2", "train")[index]


def test_a_mixture_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one source of triplets"):
        open_mixture([], "train")


def test_the_same_source_twice_is_refused(triplets, tmp_path):
    (tmp_path / "again").symlink_to(triplets, target_is_directory=True)
    with pytest.raises(ValueError, match=r"again and .*triplets are the same triplets; give each source once"):
        open_mixture([triplets, tmp_path / "again"], "train")
    with pytest.raises(ValueError, match="shapes:4 and shapes:8 are the same triplets"):
        open_mixture(["shapes:8", "shapes:4"], "train")
    with pytest.raises(ValueError, match="are the same triplets"):
        open_mixture([f"cutouts:8:{triplets}", f"cutouts:4:{triplets}"], "train")
    assert len(open_mixture([triplets, f"cutouts:8:{triplets}", "cutouts:4:shapes:2", "shapes:2"], "train")) == 18


def test_a_bad_triplet_stops_what_does_not_skip(triplets):
    damage(triplets, 1)
    mixture = open_mixture(triplets, "train")
    with pytest.raises(ValueError, match=r"0001/im2.png is not an image"):
        mixture[1]
    assert not mixture.skipped()


def test_the_next_good_triplet_takes_the_place_of_a_bad_one(triplets, caplog):
    damage(triplets, 1)
    (triplets / "sequences/00001/0002/im3.png").unlink()
    damage(triplets, 3)
    mixture = open_mixture([triplets, "shapes:1:32x48"], "train", skip_bad=True)
    assert "1 of 4 triplets lack frames" in caplog.text
    assert len(mixture) == 5 and not mixture.skipped()
    assert levels(mixture[0]) == [1, 2, 3]
    for index in (1, 2, 3, 1):
        assert torch.equal(mixture[index].imgt, MovingShapes(1, size=SIZE)[0].imgt)
    assert mixture.skipped() == [f"{triplets}/00001/000{n}" for n in (1, 2, 3)]
    assert mixture.bad.tolist() == [False, True, True, True, False]
    skipped = [record.getMessage() for record in caplog.records if "is skipped" in record.getMessage()]
    assert len(skipped) == 3 and "im2.png is not an image" in skipped[0] and "no image at" in skipped[1]


def test_after_the_last_triplet_comes_the_first(triplets):
    damage(triplets, 3)
    assert levels(open_mixture(triplets, "train", skip_bad=True)[3]) == [1, 2, 3]


def test_where_nothing_is_good_it_is_said(triplets):
    for n in range(4):
        damage(triplets, n)
    with pytest.raises(ValueError, match=r"none of the 4 triplets can be read, from .*00001/0000 to .*00001/0003"):
        open_mixture(triplets, "train", skip_bad=True)[2]


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_what_workers_skip_is_the_same_and_counted_in_the_main_process(triplets, context):
    damage(triplets, 1)
    damage(triplets, 2)
    mixture = open_mixture([triplets, "shapes:2:32x48"], "train", skip_bad=True)
    data = TrainingSet(mixture, KeepAll(), seed=3)
    alone = [data[0, index] for _, index in EpochSampler(6, 1)]
    mixture.bad.zero_()
    loader = DataLoader(data, 1, sampler=EpochSampler(6, 1), num_workers=2, multiprocessing_context=context)
    assert all(torch.equal(batch.frames[0], true.frames) for batch, true in zip(loader, alone, strict=True))
    assert mixture.skipped() == [f"{triplets}/00001/0001", f"{triplets}/00001/0002"]


class KeepAll:
    """An augmentation that changes nothing."""

    def draw(self, generator):
        return TrainingAugmentation(32, reverse_time=0).draw(generator)

    def apply(self, triplet, changes):
        return torch.stack(tuple(triplet))


def test_a_mixture_of_sources_by_hand_needs_no_folder():
    parts = {"a": MovingShapes(2, size=SIZE), "b": MovingShapes(1, "test", size=SIZE)}
    assert Mixture(parts).names == ["a/train/000000", "a/train/000001", "b/test/000000"]
