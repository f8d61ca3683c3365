"""Moving images, folders of frames, and two pictures side by side."""

from fractions import Fraction

import numpy as np
import pytest
from helpers.clips import RATE, SQUARES, Still, read, square, write
from PIL import Image

from video.frame import Frame, side_by_side
from video.write.codecs import choose_format, is_animation, is_video
from video.write.mux import join
from video.write.segments import segment_writer


@pytest.mark.parametrize(("suffix", "error"), [(".gif", 0.005), (".apng", 0.0001)])
def test_a_moving_image_has_the_right_durations_and_repeats(tmp_path, suffix, error):
    times = [*(k / RATE for k in range(20)), 20 / RATE + Fraction(1, 2)]
    end = times[-1] + 1
    output = write(tmp_path / f"a{suffix}", [square(k % 10) for k in range(21)], times=times, end=end)
    with Image.open(output) as image:
        assert image.n_frames == 21 and image.info["loop"] == 0
        shown = 0.0
        for index in range(21):
            assert shown == pytest.approx(float(times[index]), abs=error)  # it does not drift
            image.seek(index)
            shown += image.info["duration"] / 1000
        assert shown == pytest.approx(float(end), abs=error)


def test_a_gif_keeps_frames_that_are_closer_than_its_clock_can_tell(tmp_path):
    times = [Fraction(k, 1000) for k in (0, 40, 42, 44, 80, 120)]
    with Image.open(write(tmp_path / "a.gif", SQUARES, times=times, end=Fraction(4, 25))) as image:
        assert image.n_frames == 6
        durations = []
        for index in range(6):
            image.seek(index)
            durations.append(image.info["duration"])
    assert durations == [40, 10, 10, 20, 40, 40]


def test_a_gif_has_a_palette_chosen_from_all_of_its_frames(tmp_path):
    images = [np.full((16, 16, 3), 7 * k, np.uint8) for k in range(30)]
    images += [np.full((16, 16, 3), (250, 7 * k, 20), np.uint8) for k in range(30)]
    for frame, image in zip(read(write(tmp_path / "a.gif", images)), images, strict=True):
        assert np.abs(frame.image.astype(int) - image).max() <= 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_folder_takes_its_name_when_all_frames_are_in_it(tmp_path, dtype):
    images = [np.random.default_rng(k).integers(0, 256, (5, 7, 3), np.uint8).astype(dtype) for k in range(5)]
    form = choose_format(tmp_path / "out", Still(5, 7))
    (tmp_path / "out").mkdir()  # an empty folder is taken over
    for index, part in enumerate((images[:2], images[2:])):
        with segment_writer(tmp_path / "parts", index, form, first=2 * index) as writer:
            for image in part:
                writer.write(Frame(image, Fraction(0), ""))
        assert list((tmp_path / "out").iterdir()) == []
    join(tmp_path / "parts", form, tmp_path / "out")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == [f"{k:06d}.png" for k in range(5)]


def test_side_by_side_keeps_both_pictures_and_the_time_of_the_right_one(tmp_path):
    left, right = Frame(SQUARES[0], Fraction(0), "left"), Frame(SQUARES[3], Fraction(1), "right")
    both = side_by_side(left, right)
    np.testing.assert_array_equal(both.image[:, :64], SQUARES[0])
    np.testing.assert_array_equal(both.image[:, 64:], SQUARES[3])
    assert both._replace(image=None) == Frame(None, Fraction(1), "right")
    assert choose_format(tmp_path / "a.mp4", Still(48, 64), columns=2).size == (48, 128)


def test_kinds_are_told_by_the_suffix():
    assert is_video("a.MKV") and not is_video("a.gif") and is_animation("a.GIF") and not is_animation("a.mp4")
