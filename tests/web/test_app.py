"""The web page's jobs: what they refuse, compute and show. The page itself, in a browser: test_app_browser.py."""

import dataclasses
import struct
import zlib

import numpy as np
import pytest
import torch
from helpers.clips import make_clip, packets, square
from helpers.runs import TINY
from PIL import Image

from models import WaveletVFI
from utils import read_image, tensor_to_image
from video import Options, VideoReader
from web.figures import compared, figures, inside
from web.jobs import (
    Limits,
    Setup,
    WatchedModel,
    interpolate_clip,
    interpolate_pair,
    open_image,
    plain_message,
)

LIMITS = Limits(megapixels=0.01, frames=6)
TWICE = Options(multiplier=2)


@pytest.fixture
def setup(tmp_path, small) -> Setup:
    return Setup(small, "small.pth", torch.device("cpu"), LIMITS, tmp_path)


@pytest.fixture
def images(tmp_path) -> list[str]:
    """The paths of two small images."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for k, path in enumerate(paths):
        Image.fromarray(square(2 * k)).save(path)
    return [str(path) for path in paths]


def test_a_pair_is_what_the_network_makes_of_it(setup, images):
    watched = interpolate_pair(setup, images, {"ratio": 0.0})
    img0, img1 = (read_image(path) for path in images)
    torch.testing.assert_close(watched.liveliest.output.frame, setup.model.interpolate(img0, img1, ratio=0.0))
    assert watched.costs == [1.0]


def test_a_budget_is_kept(setup, images):
    assert interpolate_pair(setup, images, {"budget": 0.25}).costs[0] <= 0.25


@pytest.fixture
def untimed(setup) -> Setup:
    """With weights that make the middle alone."""
    return setup._replace(model=WaveletVFI(TINY).eval())


@pytest.fixture
def timed(setup) -> Setup:
    """With weights that make any time."""
    return setup._replace(model=WaveletVFI(dataclasses.replace(TINY, any_time=True, passes=2)).eval())


def test_a_pair_has_its_frame_at_the_time_and_with_the_passes_asked_for(timed, images):
    img0, img1 = (read_image(path) for path in images)
    for options in ({"t": 0.25}, {"t": 0.75, "passes": 1}, {"passes": "auto"}):
        frame = interpolate_pair(timed, images, {"ratio": 0.0}, **options).liveliest.output.frame
        torch.testing.assert_close(frame, timed.model.interpolate(img0, img1, ratio=0.0, **options))


def test_weights_for_the_middle_alone_make_no_other_time(untimed, images):
    with pytest.raises(ValueError, match="any_time"):
        interpolate_pair(untimed, images, {}, t=0.25)


def test_a_clip_has_the_passes_asked_for(timed, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [square(k) for k in range(2)])
    watched, _ = interpolate_clip(
        timed, str(clip), tmp_path / "out.mp4", TWICE, report=lambda *_: None, passes=(2, 1, 0)
    )
    assert watched.liveliest.output.scales == (2, 1, 0)


@pytest.mark.slow  # Gradio takes seconds to be imported
@pytest.mark.extra
def test_only_weights_that_make_any_time_have_a_slider_of_times(untimed, timed):
    pytest.importorskip("gradio")
    page = pytest.importorskip("web.page")
    for one, is_shown in ((untimed, False), (timed, True)):
        blocks = page.build_page(one).blocks.values()
        (slider,) = [block for block in blocks if getattr(block, "elem_id", None) == "time"]
        assert slider.visible == is_shown and slider.value == 0.5


@pytest.mark.parametrize("missing", [0, 1])
def test_one_image_is_not_a_pair(setup, images, missing):
    images[missing] = None
    with pytest.raises(ValueError, match="two images are needed"):
        interpolate_pair(setup, images, {})


def test_images_of_two_sizes_are_refused(setup, images, tmp_path):
    Image.fromarray(square(0, 48, 80)).save(tmp_path / "wide.png")
    with pytest.raises(ValueError, match="the first is 64x48 and the last 80x48"):
        interpolate_pair(setup, [images[0], str(tmp_path / "wide.png")], {})


def test_a_large_image_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "large.png"
    Image.new("RGB", (200, 100)).save(path)
    path.write_bytes(path.read_bytes()[:60])  # its header alone
    with pytest.raises(ValueError, match=r"large\.png has 200x100 = 0\.0 megapixels.*--max_megapixels"):
        open_image(path, LIMITS)
    with pytest.raises(ValueError, match="truncated or corrupt"):
        open_image(path, Limits(1, 1))


def test_an_absurd_size_is_refused(tmp_path):
    path = tmp_path / "huge.png"
    Image.new("RGB", (200, 100)).save(path)
    header = bytearray(path.read_bytes())
    header[16:24] = struct.pack(">II", 60000, 60000)
    header[29:33] = struct.pack(">I", zlib.crc32(header[12:29]))
    path.write_bytes(header)
    with pytest.raises(ValueError, match=r"huge\.png is truncated or corrupt: .*exceeds limit"):
        open_image(path, LIMITS)


def test_text_is_not_an_image(tmp_path):
    (tmp_path / "words.png").write_text("just some words\n" * 20)
    with pytest.raises(ValueError, match=r"words\.png is not an image"):
        open_image(tmp_path / "words.png", LIMITS)


def test_a_clip_becomes_twice_as_many_frames_with_its_sound(setup, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [square(k) for k in range(4)], sound=[0.1])
    told = []
    output = tmp_path / "out.mp4"
    watched, summary = interpolate_clip(
        setup, str(clip), output, TWICE, report=lambda done, expected: told.append((done, expected))
    )
    assert len(list(VideoReader(output).frames())) == 8  # the last one is held
    assert packets(output) == packets(clip)
    assert told[0] == (0, 8)
    assert told[-1] == (8, 8)
    assert told == sorted(told)
    assert summary.frames == 8
    assert len(watched.costs) == 3


@pytest.mark.parametrize(
    ("count", "height", "words"), [(7, 48, "has 7 frames or more, this page takes 6"), (2, 160, "0.0 megapixels")]
)
def test_a_clip_beyond_the_limits_is_refused_and_leaves_nothing(setup, tmp_path, count, height, words):
    clip = make_clip(tmp_path / "clip.mp4", [square(k, height) for k in range(count)])
    with pytest.raises(ValueError, match=words):
        interpolate_clip(setup, str(clip), tmp_path / "out.mp4", TWICE, report=print)
    assert list(tmp_path.iterdir()) == [clip]


def test_a_clip_that_is_longer_than_it_says_is_refused_too(setup, tmp_path, monkeypatch):
    clip = make_clip(tmp_path / "clip.mp4", [square(k) for k in range(7)])
    monkeypatch.setattr(VideoReader, "total", property(lambda reader: None, lambda reader, value: None), raising=False)
    with pytest.raises(ValueError, match=r"clip\.mp4 has 7 frames or more"):
        interpolate_clip(setup, str(clip), tmp_path / "out.mp4", TWICE, report=print)


def test_a_damaged_clip_is_converted_as_far_as_it_can_be_read(setup, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [square(k) for k in range(6)], fast_start=True)
    clip.write_bytes(clip.read_bytes()[:-40])
    _, summary = interpolate_clip(setup, str(clip), tmp_path / "out.mp4", TWICE, report=print)
    assert "clip.mp4" in summary.damage
    assert 0 < len(list(VideoReader(tmp_path / "out.mp4").frames())) < 12


def test_a_clip_in_which_nothing_moves_is_shown_too(setup, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    watched, _ = interpolate_clip(setup, str(clip), tmp_path / "out.mp4", TWICE, report=print)
    assert watched.liveliest is not None


def test_no_clip_is_said(setup, tmp_path):
    with pytest.raises(ValueError, match="a clip is needed"):
        interpolate_clip(setup, None, tmp_path / "out.mp4", TWICE, report=print)


def test_the_pair_with_the_largest_motion_is_kept(small):
    img = torch.rand(3, 1, 3, 32, 32)
    watched = WatchedModel(small)
    pairs = [(img[0], img[0]), (img[1], img[2]), (img[0], img[0])]
    motion = []
    for img0, img1 in pairs:
        watched.interpolate(img0, img1)
        motion.append(small.interpolate_details(img0, img1).motion.flow_t0.norm(dim=1).mean().item())
    img0, img1 = pairs[int(np.argmax(motion))]
    assert torch.equal(watched.liveliest.img0, img0) and torch.equal(watched.liveliest.img1, img1)
    assert len(watched.costs) == 3


def test_pictures_have_the_frames_size_and_a_full_mask_dims_nothing(setup, images):
    pair = interpolate_pair(setup, images, {"ratio": 0.0}).liveliest
    pictures = inside(pair)
    assert {picture.shape for picture, _ in pictures} == {(48, 64, 3)}
    assert [caption.split(":")[0] for _, caption in pictures[5:]] == [f"Mask of level {level}" for level in (1, 2, 3)]
    for picture, caption in pictures[5:]:
        assert "100%" in caption
        np.testing.assert_array_equal(picture, tensor_to_image(pair.output.frame))


def test_an_empty_mask_dims_everything(setup, images):
    pair = interpolate_pair(setup, images, {"budget": 0.0}).liveliest
    picture, caption = inside(pair)[-1]
    assert caption.endswith(" 0%")
    np.testing.assert_allclose(picture, 0.2 * tensor_to_image(pair.output.frame), atol=1)


def test_the_frame_can_be_compared_with_three(setup, images):
    pair = interpolate_pair(setup, images, {}).liveliest
    pictures = compared(pair)
    np.testing.assert_array_equal(pictures["first frame"], square(0))
    np.testing.assert_array_equal(pictures["last frame"], square(2))
    np.testing.assert_allclose(pictures["average of both"], square(0) / 2 + square(2) / 2, atol=1)
    np.testing.assert_array_equal(pictures["middle frame"], tensor_to_image(pair.output.frame))


def test_figures_tell_cost_ratio_and_size(setup, images):
    text = figures(interpolate_pair(setup, images, {"ratio": 0.0}))
    assert "<b>100%</b>" in text and "<b>0</b>" in text and "64x48 pixels" in text
    assert "width: 100%" in text


def test_messages_name_the_file_not_the_folder_and_are_plain_text():
    error = ValueError("/tmp/ab12/<b>.png is not an image")
    assert plain_message(error, None, "/tmp/ab12/<b>.png") == "&lt;b&gt;.png is not an image"
