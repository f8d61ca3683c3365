"""Images, checkpoints, atomic writes and scripts."""

import os
import random

import numpy as np
import pytest
import torch
from PIL import Image

import utils


def pattern(height=6, width=9):
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_an_image_written_and_read_is_the_same(tmp_path, suffix):
    frame = utils.image_to_tensor(pattern())
    if suffix == ".webp":
        frame = torch.ones_like(frame)  # lossy: a constant survives
    utils.write_image(tmp_path / f"a{suffix}", frame)
    torch.testing.assert_close(utils.read_image(tmp_path / f"a{suffix}"), frame, atol=1e-7, rtol=0)
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_grey_alpha_palette_and_16_bit_are_converted_and_said_so(tmp_path, caplog):
    rgb = Image.fromarray(pattern())
    deep = (np.arange(54, dtype=np.uint16) * 1000).reshape(6, 9)
    for name, image, expected, words in (
        ("grey", rgb.convert("L"), np.asarray(rgb.convert("L").convert("RGB")), "grey"),
        ("alpha", rgb.convert("RGBA"), pattern(), "alpha channel"),
        ("palette", rgb.convert("P"), np.asarray(rgb.convert("P").convert("RGB")), "palette"),
        ("deep", Image.fromarray(deep), np.repeat((deep / 257).round()[..., None], 3, 2), "16-bit grey"),
    ):
        caplog.clear()
        image.save(tmp_path / f"{name}.png")
        read = utils.read_image(tmp_path / f"{name}.png")
        assert read.shape == (1, 3, 6, 9)
        torch.testing.assert_close(read * 255, torch.tensor(expected).permute(2, 0, 1)[None].float())
        assert words in caplog.text
        assert f"{name}.png" in caplog.text


def test_plain_rgb_is_read_without_a_word(tmp_path, caplog):
    Image.fromarray(pattern()).save(tmp_path / "a.png")
    utils.read_image(tmp_path / "a.png")
    assert not caplog.text


def test_missing_foreign_and_truncated_images_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image at .*nothing\.png"):
        utils.read_image(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"text\.png is not an image"):
        utils.read_image(tmp_path / "text.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.png is truncated or corrupt"):
        utils.read_image(tmp_path / "cut.png")


@pytest.mark.parametrize(
    ("frame", "message"),
    [(torch.zeros(2, 3, 4, 4), "shape"), (torch.zeros(1, 4, 4), "shape"), (torch.full((3, 4, 4), torch.nan), "NaN")],
)
def test_what_is_no_image_is_not_written(tmp_path, frame, message):
    with pytest.raises(ValueError, match=message):
        utils.write_image(tmp_path / "a.png", frame)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (64, 5), (150, 33)])
def test_every_value_is_rounded_and_cut_off_at_black_and_white(size, layout, dtype):
    most = np.iinfo(dtype).max
    for low, high in ((0, 1), (-0.3, 1.2)):
        frame = (torch.rand(1, 3, *size) * (high - low) + low).contiguous(memory_format=layout)
        expected = (frame[0].clamp(0, 1) * most).round().permute(1, 2, 0).numpy()
        image = utils.tensor_to_image(frame, dtype)
        assert image.dtype == dtype and image.flags.c_contiguous
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_value_that_is_not_finite_is_found_wherever_it_is(value):
    for place in range(0, 3 * 70 * 9, 41):
        frame = torch.rand(3, 70, 9)
        frame.view(-1)[place] = value
        with pytest.raises(ValueError, match="NaN or infinite values"):
            utils.tensor_to_image(frame)


def test_an_image_without_pixels_stays_one():
    assert utils.tensor_to_image(torch.zeros(1, 3, 0, 4)).shape == (0, 4, 3)


def test_an_unknown_image_suffix_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"unknown image suffix '\.xyz'"):
        utils.write_image(tmp_path / "a.xyz", torch.zeros(3, 4, 4))


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError("writer failed")])
def test_a_full_disk_is_reported_with_the_file_s_name(tmp_path, monkeypatch, failure):
    def full(*args):
        raise failure

    monkeypatch.setattr(torch, "save", full)
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match=r"cannot write .*a\.pth: (No space|writer failed)"):
        utils.save_checkpoint(tmp_path / "a.pth", {})
    with pytest.raises(OSError, match=r"cannot write .*a\.png"):
        utils.write_image(tmp_path / "a.png", torch.zeros(3, 4, 4))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_reported_with_the_name_of_any_file(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"), utils.atomic_path(tmp_path / "a.txt"):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("failure", [OSError("no space left"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(type(failure)), utils.atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise failure
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_written_file_has_the_usual_permissions(tmp_path):
    with utils.atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    (tmp_path / "plain.txt").write_text("new")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_checkpoints_come_back_without_the_wrapper_s_prefix(tmp_path):
    utils.save_checkpoint(tmp_path / "a.pth", {"model": {"module.w": torch.ones(2)}, "step": 3})
    loaded = utils.load_checkpoint(tmp_path / "a.pth")
    assert loaded["step"] == 3
    assert list(loaded["model"]) == ["w"]
    utils.save_checkpoint(tmp_path / "b.pth", {"module.w": torch.ones(2)})
    assert list(utils.load_checkpoint(tmp_path / "b.pth")["model"]) == ["w"]


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": {}}, {"model": {"a": 1}}, {"step": 3}])
def test_files_without_weights_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth holds"):
        utils.load_checkpoint(tmp_path / "a.pth")


class Surprise:
    def __reduce__(self):
        return os.getcwd, ()


def test_missing_truncated_and_unsafe_checkpoints_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*a\.pth"):
        utils.load_checkpoint(tmp_path / "a.pth")
    torch.save({"model": {"w": torch.ones(5000)}}, tmp_path / "a.pth")
    whole = (tmp_path / "a.pth").read_bytes()
    torch.save({"model": Surprise()}, tmp_path / "unsafe.pth")
    unsafe = (tmp_path / "unsafe.pth").read_bytes()
    for content in (b"", b"text", whole[:10], whole[: len(whole) // 2], unsafe):
        (tmp_path / "b.pth").write_bytes(content)
        with pytest.raises(ValueError, match=r"b\.pth is not a checkpoint"):
            utils.load_checkpoint(tmp_path / "b.pth")
    with pytest.raises(ValueError, match=r"save the network's state_dict\(\) alone"):
        utils.load_checkpoint(tmp_path / "unsafe.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "a pointer of Git LFS .*git lfs pull",
        ),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html lang='en'>", "a web page; download the file itself"),
        (b"<html><body>\xc3\xa9</body></html>", "a web page"),
        (b'{"error": "Repository not found"}\n', r'text: "{"error": "Repository not found"}"$'),
        (b"Entry not found, " * 50, r'text: "Entry not found, Entry .*\.\.\."$'),
    ],
)
def test_what_lies_in_a_checkpoint_s_place_is_told(tmp_path, content, words):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.pth is not a checkpoint but {words}"):
        utils.load_checkpoint(tmp_path / "a.pth")


def test_no_changed_byte_of_a_checkpoint_loads_unnoticed(tmp_path):
    state = {"model": {"w": torch.arange(5.0), "half": torch.ones(3, dtype=torch.float16)}, "config": {"ratio": 0.01}}
    utils.save_checkpoint(tmp_path / "a.pth", state)
    whole, refused = (tmp_path / "a.pth").read_bytes(), 0
    for place in range(len(whole)):
        (tmp_path / "b.pth").write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            loaded = utils.load_checkpoint(tmp_path / "b.pth")
        except ValueError:
            refused += 1
            continue
        assert loaded.keys() == state.keys() and loaded["config"] == state["config"]
        assert loaded["model"].keys() == state["model"].keys()
        assert all(torch.equal(loaded["model"][name], value) for name, value in state["model"].items())
    assert refused > 400


def test_a_damaged_entry_is_told_and_files_older_than_checksums_load(tmp_path):
    state = {"model": {"w": torch.arange(500.0)}}
    utils.save_checkpoint(tmp_path / "a.pth", state)
    content = bytearray((tmp_path / "a.pth").read_bytes())
    content[content.index(state["model"]["w"].numpy().tobytes()) + 1000] ^= 4
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pth is damaged: its entry .*data/0 does not fit its checksum; copy or"):
        utils.load_checkpoint(tmp_path / "a.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(utils.load_checkpoint(tmp_path / "old.pth")["model"]["w"], state["model"]["w"])


def test_a_device_that_is_not_there_is_named():
    assert utils.pick_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="device 'nonsense' cannot be used here"):
        utils.pick_device("nonsense")


@pytest.mark.parametrize(
    ("failure", "status", "words"),
    [
        (ValueError("a bad value"), 1, "error: a bad value"),
        (FileNotFoundError("no file"), 1, "error: no file"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_a_script_ends_in_one_line_and_a_status(capsys, failure, status, words):
    def main(args):
        raise failure

    with pytest.raises(SystemExit) as caught:
        utils.run_script(main, None)
    assert caught.value.code == status
    assert capsys.readouterr().err.strip() == words


def test_a_seed_repeats_every_generator():
    draws = []
    for _ in range(2):
        utils.seed_everything(7)
        draws.append((float(torch.rand(1)), float(np.random.rand()), random.random()))
    assert draws[0] == draws[1]
