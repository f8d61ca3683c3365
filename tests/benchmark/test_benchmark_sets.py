"""The benchmark sets: which frames of the published layouts are a sample, in which order, and what is said without."""

import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import benchmark_trees as trees
from helpers.clips import make_clip, square

from datasets import ATD12K, HD, UCF101, Adobe240, Folder, GoPro, Middlebury, SNUFilm, Vimeo90KTest, Xiph, XTest
from datasets.frame_set import centre_crop, half_size
from datasets.published_clips import read_yuv
from video import VideoReader

#: A set, its tree, the names of its samples, and the grey levels of the frames of the last one.
CASES = {
    "Vimeo90K": (Vimeo90KTest, trees.vimeo90k, ["00001/0002"], [0, 1, 2]),
    "Vimeo90K-septuplet": (Vimeo90KTest, trees.vimeo90k_septuplet, ["00001/0002:3"], [2, 3, 4]),
    "Vimeo90K, the test set alone": (Vimeo90KTest, trees.vimeo_interp_test, ["00001/0002"], [0, 1, 2]),
    "UCF101": (UCF101, trees.ucf101, ["1", "2", "11"], [4, 5, 6]),
    "SNU-FILM-hard": (
        lambda root: SNUFilm(root, "hard"),
        trees.snu_film,
        ["GOPRO_test/GOPR0384_11_00/000002 (line 1)", "YouTube_test/0000/000002 (line 2)"],
        [3, 4, 5],
    ),
    "ATD12K": (ATD12K, trees.atd12k, ["Disney_v4_1", "Japan_v2_3"], [0, 1, 2]),
    "Middlebury": (Middlebury, trees.middlebury, ["Beanbags", "Urban2"], [3, 4, 5]),
    "X-TEST-4K": (XTest, trees.x_test, ["Type1/TEST01_003_f0433:0", "Type2/TEST06_001_f0273:0"], [*range(0, 33, 4)]),
    "Adobe240": (Adobe240, trees.adobe240, ["GOPR9635:0", "GOPR9635:8", "IMG_0001:0"], [*range(9)]),
}
SETS = {title: case[0] for title, case in CASES.items()} | {
    "HD": HD,
    "GoPro": GoPro,
    "Xiph": lambda root: Xiph(root, "4K"),
}


def levels(sample):
    """The grey level of every frame, which has no other."""
    assert all((frame == frame[0, 0, 0]).all() for frame in sample)
    return [frame[0, 0, 0].item() for frame in sample]


@pytest.mark.parametrize("title", CASES)
def test_samples_are_the_published_ones_in_the_order_of_time(tmp_path, title):
    kind, build, names, grey = CASES[title]
    build(tmp_path)
    dataset = kind(tmp_path)
    sample = dataset[len(dataset) - 1]
    assert (dataset.title, dataset.names) == (title.partition(",")[0], names)
    assert levels(sample) == grey
    assert all(frame.dtype == torch.uint8 and frame.shape[0] == 3 for frame in sample)


@pytest.mark.parametrize("title", SETS)
def test_without_the_data_it_is_said_what_to_get_where_and_where_it_was_looked_for(tmp_path, title):
    kind = SETS[title]
    with pytest.raises(FileNotFoundError) as missing:
        kind(tmp_path / "nowhere")
    message = str(missing.value)
    assert f"no folder at {tmp_path / 'nowhere'}" in message
    assert " of the page " in message and "Layout: " in message and "is needed: " in message


@pytest.mark.parametrize("title", SETS)
def test_an_empty_folder_stops_at_once(tmp_path, title):
    with pytest.raises(FileNotFoundError, match=f"(no|none of) .*{tmp_path.name}"):
        SETS[title](tmp_path)


def test_hd_takes_the_odd_frames_of_raw_clips_and_counts_the_clips_that_are_missing(tmp_path):
    trees.hd(tmp_path)
    dataset = HD(tmp_path)
    name = "Sintel_Alley2_1280x544"
    assert [known for known in dataset.names if known.startswith(name)] == [f"{name}:1", f"{name}:3"]
    assert len(dataset) == 10 + 2
    (tmp_path / "HD_dataset/HD544p_GT/Sintel_Market5_1280x544.yuv").touch()
    assert HD(tmp_path).names == dataset.names
    sample = dataset[dataset.names.index(f"{name}:3")]
    for frame, luma in zip(sample, (102, 103, 104), strict=True):
        assert frame.shape == (3, 544, 1280)
        assert (frame.float().mean((1, 2)) - luma).abs().max() < 2
    with pytest.raises(FileNotFoundError, match=r"no clip at .*parkrun_1280x720_50.yuv"):
        dataset[0]


def test_a_set_of_another_size_than_the_published_one_says_so(tmp_path, caplog):
    trees.ucf101(tmp_path)
    UCF101(tmp_path)
    assert "UCF101: 3 samples, published tables have 379: not comparable" in caplog.text


def test_a_line_that_repeats_another_is_told(tmp_path, caplog):
    root = trees.noise_triplets(tmp_path, [(32, 48)] * 2)
    with (root / "tri_testlist.txt").open("a") as file:
        file.write("\n00001/0001\r\n")
    assert len(Vimeo90KTest(root)) == 2
    trees.vimeo_interp_test(tmp_path)
    (tmp_path / "vimeo_interp_test/tri_testlist.txt").write_text("00001/0002\n00001/0002\n")
    assert len(Vimeo90KTest(tmp_path / "vimeo_interp_test")) == 1
    assert caplog.text.count("Vimeo90K: 1 lines of the list repeat others; each sample counts once") == 2


def test_xiph_has_49_triplets_of_each_of_8_clips_and_is_halved_or_cropped(tmp_path, caplog):
    trees.xiph(tmp_path)
    for size in Xiph.sizes:
        with caplog.at_level(logging.WARNING):
            dataset = Xiph(tmp_path, size)
        assert len(dataset) == 392 and "not comparable" not in caplog.text
        names = [name for name in dataset.names if name.startswith("Crosswalk:")]
        assert (names[0], names[-1], len(names)) == ("Crosswalk:2", "Crosswalk:98", 49)
        sample = dataset[dataset.names.index("Crosswalk:98")]
        assert levels(sample) == [96, 97, 98]
        assert sample[0].shape == (3, 8, 16) and sample[0].dtype == torch.uint8


def test_xiph_is_halved_to_8_bits_halves_upwards_and_x_test_is_not_rounded(tmp_path):
    trees.xiph(tmp_path)
    trees.x_test(tmp_path)
    frame = torch.randint(0, 256, (3, 6, 10), dtype=torch.uint8)
    exact = F.avg_pool2d(frame.double(), 2)
    assert torch.equal(Xiph(tmp_path, "2K").prepare(frame), (exact + 0.5).floor().byte())
    assert torch.equal(XTest(tmp_path, "2K").prepare(frame).double(), exact)


@pytest.mark.parametrize("kind", [Xiph, XTest])
def test_another_size_is_refused(tmp_path, kind):
    with pytest.raises(ValueError, match=r"size must be one of .*, got '8K'"):
        kind(tmp_path, "8K")


def test_another_mode_and_a_line_of_two_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mode must be one of easy, .*, got 'harder'"):
        SNUFilm(tmp_path, "harder")
    trees.snu_film(tmp_path)
    (tmp_path / "SNU-FILM/eval_modes/test-hard.txt").write_text("data/SNU-FILM/test/a.png data/SNU-FILM/test/b.png")
    with pytest.raises(
        ValueError, match=r"test-hard.txt, line 1: three files are needed, got 'data/SNU-FILM/test/a.png"
    ):
        SNUFilm(tmp_path, "hard")


def test_a_folder_of_videos_is_not_vimeo90k(tmp_path):
    make_clip(tmp_path / "video.mp4", [square(n) for n in range(3)])
    with pytest.raises(FileNotFoundError, match=r"holds videos, which benchmark/Folder.py evaluates; Vimeo90K is"):
        Vimeo90KTest(tmp_path)


def test_snu_film_may_lie_flat(tmp_path):
    trees.snu_film(tmp_path)
    inner = tmp_path / "SNU-FILM"
    for path in (inner / "eval_modes/test-hard.txt", inner / "test/GOPRO_test", inner / "test/YouTube_test"):
        path.rename(inner / path.name)
    for folder in ("eval_modes", "test"):
        (inner / folder).rmdir()
    assert levels(SNUFilm(inner, "hard")[1]) == [3, 4, 5]


@pytest.mark.parametrize("prefix", ["test/", "./data/SNU-FILM/test/", "/somewhere/test/", ""])
def test_snu_film_is_found_whatever_its_list_puts_before_the_names(tmp_path, prefix):
    trees.snu_film(tmp_path)
    path = tmp_path / "SNU-FILM/eval_modes/test-hard.txt"
    path.write_text(path.read_text().replace("data/SNU-FILM/test/", prefix))
    assert levels(SNUFilm(tmp_path, "hard")[1]) == [3, 4, 5]


def test_gopro_is_its_eleven_test_clips_and_counts_those_that_are_missing(tmp_path):
    trees.gopro(tmp_path)
    dataset = GoPro(tmp_path)
    assert dataset.names == [*GoPro.clips[1:], "GOPR0384_11_00:0", "GOPR0384_11_00:8"]
    assert levels(dataset[len(dataset) - 1]) == [*range(8, 17)]
    for index, reason in ((0, "GOPR0384_11_05.000001.png"), (1, "GOPR0385_11_01.000009.png")):  # the second is short
        with pytest.raises(FileNotFoundError, match=f"no image at .*{reason}"):
            dataset[index]


def test_a_list_selects_the_clips_of_adobe240_and_what_is_missing_is_a_sample_that_fails(tmp_path):
    trees.adobe240(tmp_path)
    (tmp_path / "adobe240fps_folder_test.txt").write_text("IMG_0001\nIMG_0002\n")
    dataset = Adobe240(tmp_path)
    assert dataset.names == ["IMG_0002", "IMG_0001:0"]
    with pytest.raises(FileNotFoundError, match=r"no image at .*IMG_0002"):
        dataset[0]


def test_x8_sets_are_cropped_to_the_middle(tmp_path):
    trees.plains((tmp_path / "clip" / f"{n}.png" for n in range(1, 10)), size=(520, 516))
    assert Adobe240(tmp_path)[0][0].shape == (3, 512, 512)
    assert Adobe240(tmp_path, crop=0)[0][0].shape == (3, 520, 516)
    assert Adobe240(tmp_path, crop=100).settings == {"crop": 100}
    with pytest.raises(ValueError, match="crop must be >= 0, got -1"):
        GoPro(tmp_path, crop=-1)


def test_half_size_is_the_mean_of_four_pixels():
    image = torch.tensor([[[0, 1, 250], [2, 3, 251], [9, 9, 9]]], dtype=torch.uint8)
    assert torch.equal(half_size(image), torch.tensor([[[1.5]]]))


def test_the_centre_is_cropped_and_a_shorter_axis_stays():
    image = torch.arange(24, dtype=torch.uint8).view(1, 4, 6)
    assert torch.equal(centre_crop(image, 2, 4), image[:, 1:3, 1:5])
    assert torch.equal(centre_crop(image, 8, 4), image[:, :, 1:5])


def test_yuv_of_a_colour_gives_the_colour_back(tmp_path):
    red, green, blue = 200.0, 90.0, 30.0
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [np.full(64, y), np.full(16, 127.5 + 0.492 * (blue - y)), np.full(16, 127.5 + 0.877 * (red - y))]
    np.concatenate(planes * 2).round().astype(np.uint8).tofile(tmp_path / "clip.yuv")
    image = read_yuv(tmp_path / "clip.yuv", 8, 8, 1)
    assert image.shape == (3, 8, 8)
    assert (image[:, 3, 3] - torch.tensor([red, green, blue])).abs().max() <= 3
    with pytest.raises(ValueError, match=r"clip.yuv ends before frame 2 of 8x8"):
        read_yuv(tmp_path / "clip.yuv", 8, 8, 2)
    with pytest.raises(FileNotFoundError, match=r"no clip at .*other.yuv"):
        read_yuv(tmp_path / "other.yuv", 8, 8, 0)


def test_yuv_becomes_rgb_by_the_inverse_of_the_published_matrix(tmp_path):
    height, width = 64, 96
    planes = np.random.default_rng(0).integers(60, 196, (3, height, width)).astype(np.uint8)
    planes[1:] = planes[1:, :1, :1]  # chroma of one value, which enlarging keeps
    np.concatenate([planes[0].ravel(), planes[1:, ::2, ::2].ravel()]).tofile(tmp_path / "clip.yuv")
    yuv_of_rgb = [
        [0.299, 0.587, 0.114],
        [-0.14714119, -0.28886916, 0.43601035],
        [0.61497538, -0.51496512, -0.10001026],
    ]
    yuv = planes / 255 - np.array([0, 0.5, 0.5])[:, None, None]
    rgb = np.einsum("ij,jhw->ihw", np.linalg.inv(yuv_of_rgb), yuv)
    expected = (rgb.clip(0, 1) * 255).astype(np.uint8)
    assert np.array_equal(read_yuv(tmp_path / "clip.yuv", height, width, 0).numpy(), expected)


def test_frames_follow_the_numbers_in_their_names_and_hidden_files_are_no_frames(tmp_path):
    trees.plains(tmp_path / f"f{n}.png" for n in range(8, 13))
    for name in ("._f9.png", "__MACOSX/f1.png", ".thumbs/f1.png", ".thumbs/f2.png", ".thumbs/f3.png"):
        trees.plain(tmp_path / name, 200)
    dataset = Folder(tmp_path)
    assert dataset.names == [f"{tmp_path.name}:0", f"{tmp_path.name}:2"]
    assert [levels(sample) for sample in dataset] == [[0, 1, 2], [2, 3, 4]]


def test_clips_that_are_too_short_or_have_gaps_are_told(tmp_path, caplog):
    trees.plains(tmp_path / "short" / f"{n}.png" for n in range(2))
    trees.plains(tmp_path / "gap" / f"{n:03d}.png" for n in (1, 2, 3, 5, 6))
    trees.plains(tmp_path / "even" / f"{n:03d}.png" for n in range(0, 10, 2))
    assert Folder(tmp_path).names == ["even:0", "even:2", "gap:0", "gap:2"]
    assert "short is left out: 2 images, 3 are needed" in caplog.text
    assert "gap: numbers jump between 003.png and 005.png, as if frames were missing" in caplog.text
    assert len(caplog.records) == 2


def test_a_folder_takes_triplets_clips_of_images_and_videos_each_frame_between_once(tmp_path):
    trees.plains(tmp_path / "triplet" / f"im{n}.png" for n in range(3))
    trees.plains(tmp_path / "deep/clip" / f"{n}.png" for n in range(6))
    make_clip(tmp_path / "video.mp4", [square(n) for n in range(5)])
    (tmp_path / "broken.mp4").write_text("no video")
    dataset = Folder(tmp_path)
    assert dataset.names == ["deep/clip:0", "deep/clip:2", "triplet:0", "broken.mp4:0", "video.mp4:0", "video.mp4:2"]
    assert levels(dataset[1]) == [2, 3, 4]
    assert (dataset[5][1].int() - torch.from_numpy(square(3)).permute(2, 0, 1)).abs().max() < 40
    with pytest.raises(ValueError, match=r"broken.mp4 is not a video that can be decoded"):
        dataset[3]


@pytest.mark.parametrize("turn", [0, 90, 180])
@pytest.mark.parametrize("colour", [(1, 1), (6, 1), (1, 2), (2, 0)], ids=["BT.709", "BT.601", "full range", "untagged"])
def test_a_folder_judges_the_pixels_that_the_tool_reads(tmp_path, turn, colour):
    images = [square(n) for n in range(3)]
    clip = make_clip(tmp_path / "clip.mp4", images, turn=turn, colour=colour)
    frames = [torch.from_numpy(frame.image).permute(2, 0, 1) for frame in VideoReader(clip).frames()]
    (sample,) = Folder(tmp_path)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(sample, frames, strict=True))
    upright = torch.from_numpy(np.rot90(images[1], turn // 90).copy()).permute(2, 0, 1)
    assert sample[1].shape == upright.shape and (sample[1].int() - upright.int()).abs().float().mean() < 1


def test_a_folder_rounds_a_deep_video_to_8_bits(tmp_path):
    images = [square(n).astype(np.uint16) * 257 for n in range(3)]
    make_clip(tmp_path / "deep.mkv", images, codec="ffv1", pix_fmt="gbrp10le")
    (sample,) = Folder(tmp_path)
    for frame, n in zip(sample, range(3), strict=True):
        assert (frame.int() - torch.from_numpy(square(n)).permute(2, 0, 1).int()).abs().max() <= 1


def test_a_folder_can_be_halved_again_and_again(tmp_path):
    trees.plains(tmp_path / "clip" / f"{n:02d}.png" for n in range(11))
    dataset = Folder(tmp_path, multiplier=4)
    assert dataset.names == ["clip:0", "clip:4"] and levels(dataset[1]) == [4, 5, 6, 7, 8]
    assert dataset.title == f"{tmp_path.name}-x4"
    for multiplier in (0, 1, 3):
        with pytest.raises(ValueError, match=f"multiplier must be 2, 4, 8, ..., got {multiplier}"):
            Folder(tmp_path, multiplier=multiplier)
