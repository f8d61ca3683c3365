"""Colour and orientation of a video, against the formulas and against NumPy's own rotation."""

from fractions import Fraction

import av
import numpy as np
import pytest
from helpers.clips import SQUARES, convert, make_clip, read

from video.read.colour import Colour, decode_rgb, depth, encode_picture
from video.read.reader import VideoReader

BARS = np.repeat(np.array([[255, 255, 255], [0, 0, 0], [230, 20, 20], [20, 220, 30], [10, 30, 240]], np.uint8), 8, 0)
BARS = np.tile(BARS[None], (40, 1, 1))


@pytest.mark.parametrize(("matrix", "kr", "kb"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)])
def test_brightness_is_stored_by_the_formula_of_the_matrix(matrix, kr, kb):
    plane = encode_picture(BARS, "yuv444p", Colour(matrix)).planes[0]
    stored = np.frombuffer(plane, np.uint8).reshape(40, plane.line_size)[:, :40]
    expected = 16 + 219 / 255 * (BARS @ [kr, 1 - kr - kb, kb])
    assert np.abs(stored - expected).max() <= 1


@pytest.mark.parametrize("colour", [(1, 1), (6, 1), (9, 1), (1, 2), (6, 2)])
def test_colour_matrix_and_range_of_the_source_are_honoured_and_kept(tmp_path, colour):
    source = make_clip(tmp_path / "a.mp4", [BARS, BARS], colour=colour)
    assert np.abs(read(source)[0].image.astype(int) - BARS).max() <= 6
    reader = VideoReader(convert(source, tmp_path / "b.mp4"))
    assert reader.colour.matrix == colour[0]
    middle_of_bars = np.s_[4::8, 4::8]
    assert np.abs(list(reader.frames())[1].image.astype(int) - BARS)[middle_of_bars].max() <= 8


@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv444p10le", "yuv444p12le", "yuvj444p", "gbrp10le", "bgr0"])
@pytest.mark.parametrize("colour", [Colour(1), Colour(6), Colour(9), Colour(1, is_full=True)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_there_and_back_is_within_two_grey_levels(pix_fmt, colour, dtype):
    if pix_fmt == "yuvj444p":
        colour = colour._replace(is_full=True)
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (48, 64, 3), dtype)
    image[:8] = np.linspace(0, np.iinfo(dtype).max, 64).astype(dtype)[:, None]  # black and white among them
    frame = encode_picture(image, pix_fmt, colour)
    is_deep = depth(frame.format) > 8
    back = decode_rgb(frame, colour, is_deep=is_deep)
    assert back.dtype == (np.uint16 if is_deep else np.uint8)
    levels = back / np.iinfo(back.dtype).max * 255 - image / np.iinfo(dtype).max * 255
    bits = min(depth(frame.format), 8 * np.dtype(dtype).itemsize)
    assert np.abs(levels).max() <= (2.5 if bits == 8 else 0.9)
    # No shade is added; the converter cuts off fractions of full-range codes of 8 bits.
    assert abs(levels.mean()) < (0.4 if colour.is_full and bits == 8 and not frame.format.is_rgb else 0.15)
    assert np.abs(levels[:8, [0, -1]]).max() <= (1 if bits == 8 else 0.5)  # black is black, white is white


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gray16le"])
def test_grey_is_full_range(pix_fmt):
    ramp = np.repeat(np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (8, 1))[..., None], 3, 2)
    frame = encode_picture(ramp, pix_fmt, Colour(1))
    back = decode_rgb(frame, Colour(1), is_deep=depth(frame.format) > 8)
    assert np.abs(back / np.iinfo(back.dtype).max * 65535 - ramp).max() <= 65535 / 2 ** depth(frame.format) + 4
    assert back.min() == 0 and back.max() >= np.iinfo(back.dtype).max - 4


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv422p10le"])
def test_made_frames_have_the_brightness_and_the_chroma_of_the_source(tmp_path, pix_fmt):
    colours = np.linspace(40, 210, 64).astype(np.uint8)
    image = np.stack([colours, np.full(64, 128, np.uint8), colours[::-1]], -1)[None].repeat(64, 0)
    frame = read(make_clip(tmp_path / "a.mp4", [image], pix_fmt=pix_fmt, colour=(1, 1), options={"qp": "0"}))[0]
    again = encode_picture(frame.image, pix_fmt, Colour(1))
    depths = np.uint16 if "10" in pix_fmt else np.uint8
    for plane, same in zip(frame.native.planes, again.planes, strict=True):
        rows = [np.frombuffer(p, depths).reshape(p.height, -1)[:, 2 : p.width - 2].astype(int) for p in (plane, same)]
        assert abs((rows[0] - rows[1]).mean()) < 0.3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_what_screen_a_hdr_picture_was_made_for_is_carried(tmp_path, suffix):
    light = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    image = np.full((64, 64, 3), 128, np.uint8)
    settings = {"codec": "libx265", "options": {"x265-params": f"log-level=none:{light}"}}
    source = make_clip(tmp_path / "a.mkv", [image] * 3, pix_fmt="yuv420p10le", colour=(9, 1, 9, 16), **settings)
    reader = VideoReader(convert(source, tmp_path / f"b{suffix}", codec="h265"))
    assert VideoReader(source).light == reader.light == light
    assert reader.colour == (9, 9, 16, False)
    assert VideoReader(convert(source, tmp_path / "c.mkv", codec="ffv1")).light == ""


@pytest.mark.parametrize(("height", "matrix"), [(718, 6), (720, 1)])
def test_untagged_video_is_601_below_720_lines_and_709_from_there(tmp_path, height, matrix):
    image = np.full((height, 16, 3), (230, 20, 20), np.uint8)
    source = make_clip(tmp_path / "a.mp4", [image, image])
    assert VideoReader(source).colour.matrix == matrix
    assert VideoReader(convert(source, tmp_path / "b.mp4")).colour.matrix == matrix


@pytest.mark.parametrize(("turn", "quarters"), [(90, 1), (180, 2), (-90, 3)])
def test_a_turned_video_comes_out_upright(tmp_path, turn, quarters):
    source = make_clip(tmp_path / "a.mp4", SQUARES, turn=turn, aspect=Fraction(4, 3))
    output = convert(source, tmp_path / "b.mp4")
    for path, tolerance in ((source, 8), (output, 90)):
        upright = np.rot90(SQUARES[2], quarters).astype(int)
        image = read(path)[2 if path == source else 4].image
        assert image.shape == upright.shape
        assert np.abs(image - upright).max() <= tolerance
    assert VideoReader(output).aspect == (Fraction(4, 3) if quarters == 2 else Fraction(3, 4))


def test_only_quarter_turns_can_be_applied(tmp_path):
    with pytest.raises(ValueError, match="turned by 45 degrees"):
        VideoReader(make_clip(tmp_path / "a.mp4", SQUARES, turn=45))


def test_a_matrix_that_cannot_be_converted_is_an_error(tmp_path):
    with av.open(str(make_clip(tmp_path / "a.mp4", SQUARES))) as container:
        container.streams.video[0].codec_context.colorspace = 8  # YCgCo
        with pytest.raises(ValueError, match="colour matrix 8"):
            Colour.of_stream(container.streams.video[0])
