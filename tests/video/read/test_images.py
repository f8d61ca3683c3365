"""Image files as frames: depths, turns, order, patterns, and what is no image."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.clips import SQUARES, make_clip
from helpers.pictures import read_picture
from PIL import Image

from video.read.images import ImageReader, list_frames, save_picture, write_picture
from video.read.reader import VideoReader
from video.read.source import open_reader


def noise(dtype: type = np.uint8, height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype)


@pytest.mark.parametrize(
    ("suffix", "dtype", "kept"),
    [
        (".png", np.uint8, np.uint8), (".png", np.uint16, np.uint16), (".tif", np.uint8, np.uint8),
        (".tiff", np.uint16, np.uint16), (".bmp", np.uint8, np.uint8), (".bmp", np.uint16, np.uint8),
    ],
)  # fmt: skip
def test_pictures_are_read_as_they_were_written(tmp_path, suffix, dtype, kept):
    image = noise(dtype)
    write_picture(tmp_path / f"a{suffix}", image)
    back = read_picture(tmp_path / f"a{suffix}")
    assert back.dtype == kept
    np.testing.assert_array_equal(back, image if dtype == kept else np.round(image / 257))


@pytest.mark.parametrize(("bits", "kind"), [(8, "rgba"), (16, "rgba64be"), (16, "ya16be")])
def test_alpha_of_a_picture_is_dropped_and_said(tmp_path, caplog, bits, kind):
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, kind, Fraction(1)
    packets = encoder.encode(av.VideoFrame.from_ndarray(SQUARES[0], "rgb24").reformat(format=kind)) + encoder.encode()
    (tmp_path / "a.png").write_bytes(b"".join(map(bytes, packets)))
    assert 8 * read_picture(tmp_path / "a.png").itemsize == bits
    assert "alpha channel" in caplog.text and "dropped" in caplog.text


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_pictures_are_read(tmp_path, suffix):
    Image.fromarray(SQUARES[0]).save(tmp_path / f"a{suffix}", quality=95)
    assert np.abs(read_picture(tmp_path / f"a{suffix}").astype(int) - SQUARES[0]).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_pictures_are_turned_as_pillow_turns_eight_bit_ones(tmp_path, orientation):
    grey = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(grey).save(tmp_path / "8.png", exif=exif)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png", exif=exif)
    deep = read_picture(tmp_path / "16.png")
    assert deep.dtype == np.uint16
    np.testing.assert_array_equal(deep, read_picture(tmp_path / "8.png").astype(np.uint16) * 257)


def test_frames_have_the_depth_and_the_times_of_the_first(tmp_path):
    save_picture(tmp_path / "1.png", noise(np.uint16))
    save_picture(tmp_path / "2.png", noise())
    for names, dtype in ((["1.png", "2.png"], np.uint16), (["2.png", "1.png"], np.uint8)):
        reader = ImageReader([tmp_path / name for name in names], rate=Fraction(24))
        frames = list(reader.frames())
        assert [frame.image.dtype for frame in frames] == [dtype] * 2 and reader.bits == 8 * np.dtype(dtype).itemsize
        assert [frame.time for frame in frames] == [0, Fraction(1, 24)]
        assert (reader.size, reader.total, reader.duration) == ((5, 7), 2, Fraction(1, 12))
    np.testing.assert_array_equal(next(reader.frames(start=Fraction(1, 24))).image, np.round(noise(np.uint16) / 257))
    np.testing.assert_array_equal(frames[0].image, noise())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("damage", [slice(0, -30), slice(0, 60)])
def test_a_broken_picture_is_named(tmp_path, dtype, damage):
    save_picture(tmp_path / "a.png", noise(dtype, 40, 60))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[damage])
    with pytest.raises(ValueError, match=r"a.png is (truncated or corrupt|not an image)"):
        read_picture(tmp_path / "a.png")


def test_a_folder_a_pattern_and_a_list_are_read_in_their_order(tmp_path):
    for name in ("f10.png", "f2.png", "g1.png", ".f0.png"):
        save_picture(tmp_path / name, noise())
    (tmp_path / "notes.txt").touch()
    for inputs, names in (
        ([tmp_path], ["f2.png", "f10.png", "g1.png"]),
        ([tmp_path / "f*"], ["f2.png", "f10.png"]),
        ([tmp_path / "f?.png", ], ["f2.png"]),
        ([tmp_path / "g1.png", tmp_path / "f2.png"], ["g1.png", "f2.png"]),
    ):  # fmt: skip
        reader = open_reader(inputs, Fraction(10))
        assert [path.name for path in reader.paths] == names and reader.rate == 10


def test_a_video_and_a_moving_image_are_read_as_videos(tmp_path):
    make_clip(tmp_path / "a.mp4", SQUARES)
    images = [Image.fromarray(image) for image in SQUARES]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], duration=40)
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=40)
    for name in ("a.mp4", "a.png", "a.gif"):
        reader = open_reader([tmp_path / name])
        assert isinstance(reader, VideoReader) and len(list(reader.frames())) == 6


@pytest.mark.parametrize(
    ("inputs", "kind", "words"),
    [
        (["none.mp4"], FileNotFoundError, "no such file or folder: .*none.mp4"),
        (["a.png", "none.png"], FileNotFoundError, "no such file or folder: .*none.png"),
        (["*.jpg"], FileNotFoundError, r"no image matches .*\*.jpg"),
        (["a.png"], ValueError, "a.png is one image; give two, a folder of frames, or a video"),
        (["empty"], ValueError, r"empty holds no image \(.png"),
        (["a.png", "empty"], ValueError, "empty is a folder; give one folder, or two images"),
        (["words", "a.png"], ValueError, "words is not an image"),
        (["a.mp4", "b.mp4"], ValueError, "a.mp4 is not an image, but several inputs .*; give one video at a time"),
        (["a.png", "b.mp4"], ValueError, "b.mp4 is not an image, but several inputs .*; give one video at a time"),
        (["a.png", "a.gif"], ValueError, "a.gif is not an image, but several inputs .*; give one video at a time"),
        (["words"], ValueError, "words is not a video"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, inputs, kind, words):
    save_picture(tmp_path / "a.png", noise())
    (tmp_path / "empty").mkdir()
    (tmp_path / "words").write_text("just some words\n" * 20)
    for name in ("a.mp4", "b.mp4"):
        make_clip(tmp_path / name, SQUARES[:2])
    first, *others = (Image.fromarray(image) for image in SQUARES)
    first.save(tmp_path / "a.gif", save_all=True, append_images=others)
    with pytest.raises(kind, match=words):
        open_reader([tmp_path / name for name in inputs])


def test_an_image_under_another_name_is_one_of_several(tmp_path):
    for name in ("a", "b"):
        save_picture(tmp_path / "image.png", noise())
        (tmp_path / "image.png").rename(tmp_path / name)
    assert open_reader([tmp_path / "a", tmp_path / "b"]).total == 2


def test_a_missing_image_is_named_before_anything_is_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image at .*b.png"):
        ImageReader([tmp_path / "a.png", Path(tmp_path / "b.png")][1:])
    with pytest.raises(ValueError, match=r"holds no image"):
        list_frames(tmp_path)


def test_a_conversion_is_said_once_per_folder(tmp_path, caplog):
    for name, mode in (("0.png", "L"), ("1.png", "L"), ("2.png", "RGBA"), ("3.png", "RGB")):
        Image.new(mode, (4, 4)).save(tmp_path / name)
    assert len(list(ImageReader(list_frames(tmp_path)).frames())) == 4
    assert [record.args[0].name for record in caplog.records] == ["0.png", "2.png"]


@pytest.mark.parametrize(
    "names",
    [
        ["-10", "-2", "-1", "0", "1", "2", "10"],
        ["f_-2", "f_-1", "f_0", "f_1"],
        ["f (-2)", "f (-1)", "f (0)"],
        ["f-1", "f-2", "f-10"],
        ["2020-01-02", "2020-01-10", "2020-02-01"],
        ["take 1-1", "take 1-2", "take 2-1"],
        ["F1", "f2", "F10"],
    ],
)
def test_frames_come_in_the_order_of_their_numbers(tmp_path, names):
    for name in sorted(names):
        (tmp_path / f"{name}.png").touch()
    assert [path.stem for path in list_frames(tmp_path)] == names


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1", "2", "4", "5", "9"], "no frame of number 3, 6 to 8"),
        (["f_-2", "f_-1", "f_1"], "no frame of number 0"),
        (["f0", "f5", "f15", "f20"], "no frame of number 10"),
        (["1", "2", "4", "6", "7", "9", "10", "12", "13"], "no frame of number 3, 5, 8 and 1 more gaps"),
        (["1", "2", "3"], ""),
        (["0", "5", "10"], ""),
        (["a1", "a2", "b5", "b9"], ""),
        (["1", "5"], ""),
        (["a", "b", "c"], ""),
        (["1_1", "1_2", "2_5"], ""),
    ],
)
def test_a_gap_in_the_numbers_is_told(tmp_path, caplog, names, words):
    for name in names:
        save_picture(tmp_path / f"{name}.png", noise())
    for place in (tmp_path, tmp_path / "*.png"):
        caplog.clear()
        assert len(open_reader([place]).paths) == len(names)
        told = f"{place}: {words}; the frames are taken as evenly spaced"
        assert (told in caplog.text) if words else not caplog.text
