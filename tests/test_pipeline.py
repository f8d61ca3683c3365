"""The pipeline is arithmetic: how many frames, which, when, and how few of them are held."""

import weakref
from fractions import Fraction

import numpy as np
import pytest
import torch
from clips import Average
from PIL import Image

from video import Frame, ImageReader, folder_writer, interpolate_frames, list_frames


def flat(*values: int) -> list[Frame]:
    """One-pixel frames, a second apart."""
    return [Frame(np.full((1, 1, 3), v, np.uint8), Fraction(i), f"frame {i + 1}") for i, v in enumerate(values)]


@pytest.mark.parametrize("multiplier", [2, 4, 8])
@pytest.mark.parametrize("count", [2, 5])
def test_n_frames_become_n_minus_one_times_multiplier_plus_one(count, multiplier):
    assert len(list(interpolate_frames(flat(*range(count)), Average(), multiplier=multiplier))) == (
        (count - 1) * multiplier + 1
    )


def test_four_times_gives_the_exact_quarters_in_order_and_in_time():
    frames = list(interpolate_frames(flat(0, 200, 100), Average(), multiplier=4))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 50, 100, 150, 200, 175, 150, 125, 100]
    assert [frame.time for frame in frames] == [Fraction(k, 4) for k in range(9)]


def test_middle_frames_are_not_rounded_before_they_are_halved_again():
    values = [int(f.image[0, 0, 0]) for f in interpolate_frames(flat(0, 3), Average(), multiplier=4)]
    assert values == [0, 1, 2, 2, 3]  # 0.75, 1.5, 2.25; from a rounded 2 the last would be 2.5


def test_source_frames_pass_through_as_the_same_objects():
    source = flat(7, 9, 11)
    assert list(interpolate_frames(source, Average(), multiplier=4))[::4] == source


def test_ratio_and_frames_reach_the_network():
    seen = []

    class Recorder:
        def interpolate(self, img0, img1, *, ratio):
            seen.append((img0.shape, img0.dtype, ratio))
            return img0

    list(interpolate_frames(flat(1, 2), Recorder(), ratio=0.01))
    assert seen == [((1, 3, 1, 1), torch.float32, 0.01)]


@pytest.mark.parametrize("multiplier", [2, 16])
def test_memory_holds_two_frames_and_one_per_halving(multiplier):
    frames, middles = [], []  # weak references

    def source():
        for index in range(20):
            image = np.full((4, 4, 3), index, np.uint8)
            frames.append(weakref.ref(image))
            yield Frame(image, Fraction(index), "")
            del image

    class Counting(Average):
        def interpolate(self, img0, img1, *, ratio):
            imgt = super().interpolate(img0, img1, ratio=ratio)
            middles.append(weakref.ref(imgt))
            return imgt

    def count(references):
        return sum(reference() is not None for reference in references)

    for _ in interpolate_frames(source(), Counting(), multiplier=multiplier):
        assert count(frames) <= 2
        assert count(middles) <= multiplier.bit_length() - 1
    assert len(frames) == 20 and len(middles) == 19 * (multiplier - 1)


@pytest.mark.parametrize("multiplier", [-2, 0, 1, 3, 6])
def test_only_powers_of_two_multiply(multiplier):
    with pytest.raises(ValueError, match=f"power of two.*got {multiplier}"):
        interpolate_frames(flat(1, 2), Average(), multiplier=multiplier)


def test_too_few_frames_and_changing_sizes_are_errors():
    with pytest.raises(ValueError, match="no frames"):
        list(interpolate_frames([], Average()))
    with pytest.raises(ValueError, match="frame 1 is the only frame"):
        list(interpolate_frames(flat(1), Average()))
    wide = Frame(np.zeros((1, 2, 3), np.uint8), Fraction(1), "frame 2")
    with pytest.raises(ValueError, match="frame 1 is 1x1 and frame 2 is 2x1"):
        list(interpolate_frames([flat(1)[0], wide], Average()))


@pytest.mark.parametrize(
    ("failure", "kind", "text"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), ValueError, "not enough memory for frames of 1x1"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ValueError, "not enough memory"),
        (RuntimeError("a bug"), RuntimeError, "a bug"),
    ],
)
def test_running_out_of_memory_is_told_from_a_bug(failure, kind, text):
    class Failing:
        def interpolate(self, img0, img1, *, ratio):
            raise failure

    with pytest.raises(kind, match=text):
        list(interpolate_frames(flat(1, 2), Failing()))


def test_a_frame_that_is_not_finite_is_an_error_not_a_black_frame():
    class Broken:
        def interpolate(self, img0, img1, *, ratio):
            return img0 * float("nan")

    with pytest.raises(ValueError, match="NaN"):
        list(interpolate_frames(flat(1, 2), Broken()))


# Folders of frames


def test_folder_frames_are_in_natural_order_and_hidden_files_skipped(tmp_path):
    for name in ("f10.png", "f2.PNG", "f1.jpg", ".f0.png", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_frames(tmp_path)] == ["f1.jpg", "f2.PNG", "f10.png"]


def test_an_empty_folder_and_a_missing_image_are_errors(tmp_path):
    with pytest.raises(ValueError, match=r"holds no image \(.png"):
        list_frames(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no image at .*a.png"):
        ImageReader([tmp_path / "a.png"])


def test_a_conversion_is_said_once_per_folder(tmp_path, caplog):
    for name, mode in (("0.png", "L"), ("1.png", "L"), ("2.png", "RGBA"), ("3.png", "RGB")):
        Image.new(mode, (4, 4)).save(tmp_path / name)
    assert len(list(ImageReader(list_frames(tmp_path)).frames())) == 4
    assert [record.args[0].name for record in caplog.records] == ["0.png", "2.png"]


def test_frames_written_to_a_folder_are_read_back_bit_for_bit(tmp_path):
    images = [np.random.default_rng(i).integers(0, 256, (5, 7, 3), np.uint8) for i in range(3)]
    (tmp_path / "out").mkdir()  # an empty folder is taken over
    with folder_writer(tmp_path / "out") as writer:
        for image in images:
            writer.write(Frame(image, Fraction(0), ""))
    back = ImageReader(list_frames(tmp_path / "out"), rate=Fraction(10))
    assert [p.name for p in list_frames(tmp_path / "out")] == ["000000.png", "000001.png", "000002.png"]
    for k, (frame, image) in enumerate(zip(back.frames(), images, strict=True)):
        np.testing.assert_array_equal(frame.image, image)
        assert frame.time == Fraction(k, 10)
