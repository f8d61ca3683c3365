"""What a run shows and leaves behind: TensorBoard, train.log, the table and the curves."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.drawings import to_array
from helpers.runs import make_data, scalars, train
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

import utils
from models import WaveletVFI
from models.losses import Loss
from training.log import Meter, mean_loss
from training.plots import draw_choices, draw_curves, draw_panels, read_curves
from training.validation import ImageScore, gather_scores

ALONE = utils.Process(0, 1, 0, torch.device("cpu"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"), validation=3)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of the dynamic stage in which the three validation images get ratios 0, 3 and 3."""
    patch, out, calls = pytest.MonkeyPatch(), tmp_path_factory.mktemp("run"), []
    details = WaveletVFI.interpolate_details

    def chosen(model, *frames, ratio):
        calls.append(None)
        return details(model, *frames, ratio=model.config.ratios[0 if len(calls) % 3 == 1 else 3])

    patch.setattr(WaveletVFI, "interpolate_details", chosen)
    train(data, out, "--dynamic", "true")
    patch.undo()
    return out


def test_tensorboard_shows_losses_schedule_speed_memory_choices_and_images(run):
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    names = {f"loss/{term}" for term in Loss._fields}
    names |= {"schedule/learning_rate", "schedule/temperature", "gradient/norm", "gradient/skipped_steps"}
    names |= {"machine/samples_per_second", "machine/loader_share", "machine/memory_mebibytes"}
    names |= {"validation/psnr", "validation/psnr_merged", "validation/cost"}
    for ratio in ("0", "0.0002", "0.0005", "0.002"):
        names |= {f"{kind}/ratio_{ratio}" for kind in ("probability", "validation/share", "validation/psnr_of")}
    assert set(events.Tags()["scalars"]) == names
    assert set(events.Tags()["images"]) == {
        "frame, truth, error x5",
        "flow to img0, flow to img1, occlusion",
        "masks of levels 1, 2, 3",
        "validation/choices",
    }
    assert scalars(run, "validation/share/ratio_0") == pytest.approx([1 / 3] * 2)
    assert scalars(run, "validation/share/ratio_0.002") == pytest.approx([2 / 3] * 2)
    assert math.isnan(scalars(run, "validation/psnr_of/ratio_0.0002")[0])


@pytest.fixture(scope="module")
def every(data, tmp_path_factory):
    """The total loss of each of the 8 steps of a run."""
    out = tmp_path_factory.mktemp("every")
    train(data, out)
    return scalars(out, "loss/total")


@pytest.mark.parametrize("interval", [3, 4])
def test_losses_are_means_over_the_interval_across_epochs_too(data, tmp_path, every, interval):
    train(data, tmp_path, "--log_every", str(interval))
    expected = [np.mean(every[end - interval : end]) for end in range(interval, 9, interval)]
    assert scalars(tmp_path, "loss/total") == pytest.approx(expected, rel=1e-5)


def test_a_step_that_is_not_finite_is_in_no_mean():
    factors = torch.arange(1.0, len(Loss._fields) + 1)
    means = mean_loss([total * factors for total in (1.0, math.nan, 4.0, math.inf)])
    assert [term.item() for term in means] == [2.5 * factor for factor in factors.tolist()]
    assert all(math.isnan(term) for term in mean_loss([math.nan * factors]))


def test_numbers_of_the_axes_are_written_as_they_are(data):
    """PSNR of a calm run: 28.8401, 28.8402, ...; steps far into a run."""
    names = ("loss/total", "loss/reconstruction", "validation/psnr", "validation/psnr_merged", "validation/cost")
    curve = [(10**7 + 1000 * n, 28.84 + n / 10**5) for n in range(5)]
    figures = [draw_curves(dict.fromkeys(names, curve))]
    images = [ImageScore(number, 28.84 + number / 10**5, 28.0, 0.5, 0) for number in range(4)]
    figures.append(draw_choices(gather_scores(images, ALONE, 2), (0.0, 0.1)))
    for figure in figures:
        to_array(figure)
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                assert axis.get_offset_text().get_text() == ""


def test_pictures_for_tensorboard_are_labelled_framed_and_drawn_whole():
    white = np.full((48, 64, 3), 255, np.uint8)
    figure = draw_panels([("flow to img0, at most 12.3 pixels", white), ("mask of level 1: 30%", white)])
    assert [axes.get_title() for axes in figure.axes] == ["flow to img0, at most 12.3 pixels", "mask of level 1: 30%"]
    pixels = to_array(figure)
    assert pixels.shape[1] >= 64 and pixels.shape[0] >= 2 * 48
    box = figure.axes[0].get_window_extent()
    middle = pixels[pixels.shape[0] - round(box.y0 + box.height / 2)]
    for edge in (box.x0, box.x1):
        assert (middle[round(edge) - 2 : round(edge) + 2] < 255).any()
    for axes in figure.axes:
        title = axes.title.get_window_extent()
        assert title.x0 >= 0 and title.x1 <= pixels.shape[1] and title.y1 <= pixels.shape[0]


def test_the_log_has_a_line_per_interval_and_validation_and_grows_when_resumed(run, data):
    lines = (run / "train.log").read_text().splitlines()
    assert "started in" in lines[0]
    assert sum("loader" in line for line in lines) == 8
    assert sum("PSNR" in line for line in lines) == 2
    train(data, run, "--dynamic", "true", "--resume", "auto")
    assert (run / "train.log").read_text().splitlines()[:-1] == lines
    assert "resumed from" in (run / "train.log").read_text().splitlines()[-1]


def test_curves_go_on_over_many_starts_and_what_was_done_again_replaces_the_first_time(tmp_path):
    for start in range(12):  # in one second: only the last number of a file's name tells them apart, and 10 < 9 there
        writer = SummaryWriter(str(tmp_path / "tensorboard"))
        for step in range(start, start + 3):
            writer.add_scalar("loss/total", 100 * start + step, step)
        writer.close()
    (curve,) = read_curves(tmp_path).values()
    assert curve == [(start, 101 * start) for start in range(12)] + [(12, 1112), (13, 1113)]


def test_the_summary_tells_what_tensorboard_has(run):
    table = (run / "summary.md").read_text()
    assert f"| PSNR at the end | {scalars(run, 'validation/psnr')[-1]:.3f} dB |" in table
    assert f"| mean cost at the end | {scalars(run, 'validation/cost')[-1]:.3f} |" in table
    assert "| steps | 8 |" in table
    assert "| ratios at the end | 0: 33%, 0.0002: 0%, 0.0005: 0%, 0.002: 67% |" in table
    assert "| batch size x accumulated x processes | 2 x 1 x 1 |" in table
    assert "(curves.png)" in table


def test_the_curves_are_an_image_with_ink(run):
    pixels = np.asarray(Image.open(run / "curves.png").convert("RGB"))
    assert pixels.shape[0] > 600 and pixels.shape[1] > 600
    assert (pixels != 255).any(2).mean() > 0.01


def test_a_drawing_shows_each_point():
    few = [(step, 1.0 + step) for step in range(3)]
    names = ("loss/total", "loss/reconstruction", "validation/psnr", "validation/psnr_merged", "validation/cost")
    loss, psnr, cost = draw_curves(dict.fromkeys(names, few)).axes
    assert [len(axes.lines) for axes in (loss, psnr, cost)] == [4, 2, 1]
    images = [ImageScore(number, 30.0 + number, 29.0, 0.5, number % 2) for number in range(4)]
    figure = draw_choices(gather_scores(images, ALONE, 2), (0.0, 0.1))
    points, means = figure.axes[0].lines
    assert list(points.get_ydata()) == [30, 31, 32, 33]
    assert np.round(points.get_xdata()).tolist() == [0, 1, 0, 1]
    assert list(means.get_ydata()) == [31, 32]
    assert to_array(figure).shape == (400, 600, 3)


def test_the_means_of_a_validation():
    images = [ImageScore(2, 30.0, 28.0, 0.5, 1), ImageScore(0, 33.0, 29.0, 0.2, 0), ImageScore(1, 36.0, 30.0, 0.5, 1)]
    found = gather_scores(images, ALONE, 3)
    assert [image.index for image in found.images] == [0, 1, 2]
    assert (found.psnr, found.psnr_merged, found.cost) == (33, 29, pytest.approx(0.4))
    assert found.shares == pytest.approx([1 / 3, 2 / 3, 0])
    assert found.psnr_of_ratio[:2] == [33, 33]
    assert math.isnan(found.psnr_of_ratio[2])


def test_the_meter_separates_waiting_from_working(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("training.log.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def slow():
        for number in range(3):
            clock[0] += 3
            yield number

    meter = Meter(samples_per_step=4)
    for number in meter.watch(slow()):
        clock[0] += 1
        if number == 1:
            assert meter.read() == (4 * 2 / 8, 3 / 4)
    clock[0] += 100  # validation
    assert (meter.steps, meter.waiting, meter.working) == (1, 3, 1)


def test_a_run_too_short_for_its_log_interval_ends_without_curves(data, tmp_path):
    train(data, tmp_path, "--epochs", "1", "--log_every", "50")
    assert not (tmp_path / "curves.png").exists()
