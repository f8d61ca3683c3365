"""Floating-point TIFF: read where white is 1, refused where it is unclear, never black."""

import numpy as np
import pytest
from helpers.clips import Average
from helpers.pictures import read_picture
from helpers.tiffs import write_tiff
from PIL import Image, ImageOps

import utils
from common.images import TURNS, turn_upright
from video import convert

GREY = np.linspace(0, 1, 12 * 20, dtype=np.float32).reshape(12, 20)
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)
RGBA = np.concatenate([RGB, np.ones_like(RGB[..., :1])], axis=-1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("pixels", [GREY, RGB, RGBA], ids=["grey", "rgb", "rgba"])
def test_floating_point_from_0_to_1_is_read_as_such(tmp_path, caplog, pixels, orientation, order):
    path = write_tiff(tmp_path / "a.tif", pixels, orientation=orientation, order=order)
    expected = turn_upright(pixels[..., :3] if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1), orientation)
    picture = read_picture(path)
    assert picture.dtype == np.uint16
    np.testing.assert_array_equal(picture, (expected * 65535).round())
    image = utils.read_image(path)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(image, (expected * 255).round() / 255, atol=1e-6)
    assert "a.tif: floating point, converted to 8-bit RGB" in caplog.text and "16-bit" not in caplog.text
    assert ("alpha channel, dropped" in caplog.text) == (pixels is RGBA)


@pytest.mark.parametrize("code", TURNS)
def test_orientations_are_those_of_exif(code):
    image = Image.fromarray((RGB * 255).astype(np.uint8))
    image.getexif()[274] = code
    np.testing.assert_array_equal(turn_upright(np.asarray(image), code), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (GREY * 255, r"floating point from 0 to 255, and nothing says which is white; scale all frames alike"),
        (RGB * 1.5, r"floating point from 0 to 1\.5, and"),
        (GREY - 0.5, r"floating point from -0\.5 to 0\.5, and"),
        (np.where(GREY > 0.5, np.nan, GREY).astype(np.float32), "NaN or infinite values; floating point from 0"),
        (np.where(RGB > 0.5, np.inf, RGB).astype(np.float32), "NaN or infinite values"),
        (
            GREY.astype(np.float64),
            "1 samples a pixel of 64-bit floating point, which is not read; save",
        ),
        (RGB.astype(np.float16), "3 samples a pixel of 16-bit floating point"),
        (RGBA[..., :2], "2 samples a pixel of 32-bit floating point"),
        ((RGB * 2**31).astype(np.uint32), "whole numbers of 32 bits, and nothing says which is white; save it"),
        ((GREY * 2**31).astype(np.uint32), "whole numbers of 32 bits"),
        ((GREY * 30000).astype(np.int16), "signed whole numbers of 16 bits"),
    ],
)
def test_what_is_unclear_is_refused(tmp_path, pixels, words):
    path = write_tiff(tmp_path / "a.tif", pixels)
    for read in (utils.read_image, read_picture):
        with pytest.raises(ValueError, match=rf"a\.tif holds {words}"):
            read(path)


def test_rounding_beyond_0_and_1_is_cut(tmp_path):
    picture = read_picture(write_tiff(tmp_path / "a.tif", GREY * 1.0008 - 0.0004))
    assert (picture.min(), picture.max()) == (0, 65535)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
def test_a_damaged_file_is_named(tmp_path, pixels):
    path = write_tiff(tmp_path / "a.tif", pixels)
    content = path.read_bytes()
    for size in (5, 40, len(content) // 2):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"a\.tif is (truncated or corrupt|not an image)"):
            read_picture(path)


def test_a_floating_point_pfm_is_read_too(tmp_path):
    (tmp_path / "a.pfm").write_bytes(b"Pf\n20 12\n-1.0\n" + GREY[::-1].tobytes())
    image = utils.read_image(tmp_path / "a.pfm")[0, 0].numpy()
    np.testing.assert_allclose(image, (GREY * 255).round() / 255, atol=1e-6)


def test_frames_of_floating_point_are_interpolated(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(3):
        write_tiff(folder / f"{index}.tif", np.roll(RGB, index, axis=1))
    convert([folder], tmp_path / "out", Average())
    first, middle, last = (read_picture(tmp_path / "out" / f"{index:06d}.png").astype(float) for index in range(3))
    np.testing.assert_array_equal(first, (RGB * 65535).round())
    np.testing.assert_allclose(middle, (first + last) / 2, atol=1)
