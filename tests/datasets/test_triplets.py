"""Reading triplets: order, names, and every way in which a folder can disappoint."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from datasets.triplets import Vimeo90K

HEIGHT, WIDTH = 12, 20


@pytest.fixture
def tree(tmp_path):
    """Two triplets in the Vimeo90K layout; every pixel of frame k of triplet n is 10 n + k."""
    for n, name in enumerate(["00001/0001", "00002/0003"]):
        folder = tmp_path / "sequences" / name
        folder.mkdir(parents=True)
        for k in (1, 2, 3):
            save_grey_level(folder / f"im{k}.png", 10 * n + k)
    (tmp_path / "tri_trainlist.txt").write_text("00001/0001\n\n  00002/0003  \n\n")
    (tmp_path / "tri_testlist.txt").write_text("00002/0003\r\n")
    return tmp_path


def save_grey_level(path, level, size=(HEIGHT, WIDTH)):
    Image.fromarray(np.full((*size, 3), level, np.uint8)).save(path)


def test_frames_come_in_the_order_of_time_as_bytes(tree):
    triplet = Vimeo90K(tree)[1]
    assert triplet._fields == ("img0", "imgt", "img1")
    for frame, level in zip(triplet, (11, 12, 13), strict=True):
        assert frame.dtype == torch.uint8
        assert torch.equal(frame, torch.full((3, HEIGHT, WIDTH), level, dtype=torch.uint8))


def test_every_byte_survives_reading_and_channels_are_rgb(tree):
    pixels = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint32).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)
    Image.fromarray(pixels).save(tree / "sequences/00001/0001/im2.png")
    assert np.array_equal(Vimeo90K(tree)[0].imgt.permute(1, 2, 0).numpy(), pixels)


def test_each_split_reads_its_own_list_without_blank_lines(tree):
    assert Vimeo90K(tree).names == ["00001/0001", "00002/0003"]
    assert Vimeo90K(tree, "test").names == ["00002/0003"]
    assert len(Vimeo90K(tree, "test")) == 1


def test_the_folder_around_vimeo_triplet_is_as_good(tree, tmp_path_factory):
    outer = tmp_path_factory.mktemp("outer")
    (outer / "vimeo_triplet").symlink_to(tree, target_is_directory=True)
    assert torch.equal(Vimeo90K(outer)[0].img1, Vimeo90K(tree)[0].img1)


def test_a_loader_batches_by_name(tree):
    batch = next(iter(DataLoader(Vimeo90K(tree), batch_size=2)))
    assert batch.img1.shape == (2, 3, HEIGHT, WIDTH)
    assert batch.img1[:, 0, 0, 0].tolist() == [3, 13]


def test_grey_files_become_rgb_and_it_is_said(tree, caplog):
    path = tree / "sequences/00001/0001/im1.png"
    Image.fromarray(np.full((HEIGHT, WIDTH), 7, np.uint8)).save(path)
    assert (Vimeo90K(tree)[0].img0 == 7).all()
    assert "grey, converted to 8-bit RGB" in caplog.text


def test_an_unknown_split_is_refused(tree):
    with pytest.raises(ValueError, match='split must be "train" or "test", got \'val\''):
        Vimeo90K(tree, "val")


def test_a_missing_root_is_named_with_the_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder at .*nowhere; .*tri_trainlist.txt beside sequences/00001"):
        Vimeo90K(tmp_path / "nowhere")


def test_a_missing_list_is_named_with_the_layout(tree):
    (tree / "tri_testlist.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"no list at .*tri_testlist.txt; .* beside sequences/00001"):
        Vimeo90K(tree, "test")


def test_an_empty_list_is_refused(tree):
    (tree / "tri_trainlist.txt").write_text("\n  \n")
    with pytest.raises(ValueError, match=r"tri_trainlist.txt lists no triplet; .* 00001/0001"):
        Vimeo90K(tree)


def test_all_incomplete_triplets_are_named_at_once(tree):
    (tree / "sequences/00001/0001/im3.png").unlink()
    (tree / "tri_trainlist.txt").write_text("00001/0001\n00002/0003\n00009/0009\ntri_testlist.txt\n")
    with pytest.raises(FileNotFoundError, match=r"3 of 4 triplets lack frames .* 00001/0001, 00009/0009, tri_testlist"):
        Vimeo90K(tree)


def test_a_folder_in_the_place_of_a_frame_is_no_frame(tree):
    (tree / "sequences/00001/0001/im3.png").unlink()
    (tree / "sequences/00001/0001/im3.png").mkdir()
    with pytest.raises(FileNotFoundError, match="1 of 2 triplets lack frames"):
        Vimeo90K(tree)


def test_a_long_list_of_incomplete_triplets_is_cut_at_twenty(tree):
    (tree / "tri_trainlist.txt").write_text("\n".join(f"00003/{n:04d}" for n in range(1, 26)))
    with pytest.raises(FileNotFoundError, match=r"25 of 25 .* 00003/0020 and 5 more;"):
        Vimeo90K(tree)


def test_frames_of_different_sizes_are_named(tree):
    save_grey_level(tree / "sequences/00002/0003/im2.png", 0, size=(8, 9))
    with pytest.raises(ValueError, match=r"one size .*im1.png is 12x20, .*im2.png is 8x9, .*im3.png is 12x20"):
        Vimeo90K(tree)[1]


def test_a_file_that_is_no_image_is_named(tree):
    (tree / "sequences/00002/0003/im2.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"0003/im2.png is not an image"):
        Vimeo90K(tree)[1]
