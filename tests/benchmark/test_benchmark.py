"""The benchmark runner: same scores however the images are shared out, and nothing bad is ever in a mean."""

import math
import os
import re

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from helpers import benchmark_trees as trees
from helpers.runs import tiny_network
from PIL import Image

import utils
from benchmark.methods import Function, average
from benchmark.metrics import interpolation_error, psnr, psnr_luma, rounded, ssim
from benchmark.runner import batches, evaluate
from benchmark.scores import Scores, Store, mean_of
from datasets import HD, Folder, FrameSource, MovingShapes, TripletDataset, Vimeo90KTest

SIZES = [(32, 48), (32, 48), (40, 50), (32, 48), (33, 47)]  # two need padding and batches of their own
ALONE = utils.Process(0, 1, 0, torch.device("cpu"))
SWEEP = [{"ratio": ratio} for ratio in (0.0, 1e-3, None)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return trees.noise_triplets(tmp_path_factory.mktemp("vimeo"), SIZES)


@pytest.fixture
def dataset(root):
    return Vimeo90KTest(root)


def scored(results, row=0):
    return list(results.rows[row].images.values())


def assert_close(results, expected):
    """All that is measured but for times and memory."""
    assert results.names == expected.names and results.failures == expected.failures
    for row, wanted in zip(results.rows, expected.rows, strict=True):
        assert list(row.images) == list(wanted.images)
        pairs = zip((*row.images.values(), row.mean), (*wanted.images.values(), wanted.mean), strict=True)
        for ours, theirs in pairs:
            numbers, others = (tuple(v for v in scores._replace(ms=None) if v is not None) for scores in (ours, theirs))
            assert numbers == pytest.approx(others, rel=1e-5, abs=1e-4)


def test_the_scores_are_those_of_the_frame_in_floating_point_and_in_bytes(dataset):
    method = tiny_network([{"ratio": 0.0}])
    results = evaluate(dataset, [method, average()], process=ALONE)
    img0, imgt, img1 = (frame[None] / 255 for frame in dataset[2])
    frame = method.model.interpolate(img0, img1, ratio=0.0)
    ours, plain = scored(results)[2], scored(results, 1)[2]
    assert ours.psnr == pytest.approx(psnr(frame, imgt).item(), abs=1e-4)
    assert ours.ssim == pytest.approx(ssim(frame, imgt).item(), abs=1e-5)
    assert ours.psnr8 == pytest.approx(psnr(rounded(frame), imgt).item(), abs=1e-4)
    assert ours.ie == pytest.approx(interpolation_error(rounded(frame), imgt).item(), abs=1e-4)
    assert (ours.ratio, ours.cost, ours.psnr_luma, ours.lpips) == (0.0, pytest.approx(1), None, None)
    assert ours.gmacs > ours.executed_gmacs > 0 and ours.ms > 0
    assert plain.psnr == pytest.approx(psnr((img0 + img1) / 2, imgt).item(), abs=1e-4)
    assert (plain.ratio, plain.gmacs) == (None, None)
    assert list(results.rows[0].images) == dataset.names == results.names
    assert results.rows[0].memory >= 0 and results.rows[1].memory is None


def test_the_mean_is_over_images_not_over_pixels_and_the_median_for_times(dataset):
    (row,) = evaluate(dataset, [tiny_network()], process=ALONE).rows
    for field in ("psnr", "ssim", "psnr8", "ie", "ratio", "cost", "gmacs", "executed_gmacs"):
        assert getattr(row.mean, field) == pytest.approx(sum(getattr(s, field) for s in row.images.values()) / 5)
    assert row.mean.ms == sorted(scores.ms for scores in row.images.values())[2]


def test_the_mean_over_clips_weighs_every_clip_alike():
    images = {"a:1": Scores(10, 0, 0, 0), "a:3": Scores(20, 0, 0, 0), "b:1": Scores(30, 0, 0, 0)}
    assert mean_of(images).psnr == 20
    assert mean_of(images, by_clip=True).psnr == 22.5
    assert mean_of({}) is None


@pytest.mark.parametrize(("batch_size", "workers", "sparse"), [(2, 0, "gather"), (5, 0, "masked"), (3, 2, "folded")])
def test_batches_and_workers_change_nothing(dataset, batch_size, workers, sparse):
    methods = [tiny_network(SWEEP), average()]
    methods[0].model.sparse = sparse
    expected = evaluate(dataset, methods, process=ALONE, batch_size=1)
    assert_close(evaluate(dataset, methods, process=ALONE, batch_size=batch_size, workers=workers), expected)


def test_a_sweep_gives_what_each_ratio_alone_gives_but_for_what_is_executed(dataset):
    together = evaluate(dataset, [tiny_network(SWEEP)], process=ALONE, batch_size=2)
    assert [row.name for row in together.rows] == ["tiny, ratio 0", "tiny, ratio 0.001", "tiny, auto"]
    for row, option in zip(together.rows, SWEEP, strict=True):
        (alone,) = evaluate(dataset, [tiny_network([option])], process=ALONE).rows
        assert row.mean.ms is row.memory is None
        known = alone.mean.executed_gmacs if option["ratio"] == 0 else None  # all that a sweep with ratio 0 computes
        assert row.mean.executed_gmacs == (known and pytest.approx(known))
        for ours, theirs in zip(row.images.values(), alone.images.values(), strict=True):
            same = ("psnr", "ssim", "psnr8", "ie", "ratio", "cost", "gmacs")
            wanted = [getattr(theirs, field) for field in same]
            assert [getattr(ours, field) for field in same] == pytest.approx(wanted, rel=1e-5, abs=1e-4)


def test_a_sweep_looks_at_the_motion_once_for_each_batch(dataset):
    method, calls = tiny_network(SWEEP), []
    method.model.motion.register_forward_hook(lambda *_: calls.append(1))
    evaluate(dataset, [method], process=ALONE)
    assert len(calls) == len(dataset)


def evaluate_in_group(rank, world_size, root, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/rendezvous", rank=rank, world_size=world_size)
    process = utils.Process(rank, world_size, rank, torch.device("cpu"))
    store = Store(folder / "store", process, resume=False)
    results = evaluate(Vimeo90KTest(root), [tiny_network(SWEEP), average()], process=process, batch_size=2, store=store)
    found = [(row.name, {n: tuple(s) for n, s in row.images.items()}, tuple(row.mean)) for row in results.rows]
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_give_the_results_of_one_and_share_the_work(dataset, root, tmp_path):
    expected = evaluate(dataset, [tiny_network(SWEEP), average()], process=ALONE)
    mp.spawn(evaluate_in_group, args=(2, root, tmp_path), nprocs=2)
    for rank in (0, 1):
        for row, wanted in zip(torch.load(tmp_path / f"{rank}.pt"), expected.rows, strict=True):
            name, images, mean = row[0], {n: Scores(*s) for n, s in row[1].items()}, Scores(*row[2])
            ours = wanted._replace(name=name, images=images, mean=mean)
            assert_close(expected._replace(rows=[ours]), expected._replace(rows=[wanted]))
    lines = [(tmp_path / f"store/images.rank{rank}.jsonl").read_text().splitlines() for rank in (0, 1)]
    assert [len(each) for each in lines] == [6, 4]  # 3 and 2 of 5 images, by two methods


def test_only_the_main_process_shows_a_bar(dataset, capsys):
    results = evaluate(dataset, [average()], process=ALONE)
    shown = capsys.readouterr().err
    assert "5/5" in shown and f"PSNR {results.rows[0].mean.psnr:.3f}" in shown
    with pytest.raises(ValueError, match="Default process group"):  # another process would have to be asked
        evaluate(dataset, [average()], process=ALONE._replace(rank=1, world_size=2))
    assert capsys.readouterr().err == ""


def test_x8_is_halved_three_times(tmp_path):
    seen = []

    def middle(img0, img1):
        seen.append((img0.mean().item() * 255, img1.mean().item() * 255))
        return (img0 + img1) / 2

    trees.plains(tmp_path / "clip" / f"{n}.png" for n in range(9))
    results = evaluate(Folder(tmp_path, multiplier=8), [Function(middle, "middle")], process=ALONE)
    assert list(results.rows[0].images) == [f"clip:0 {k}/8" for k in range(1, 8)]
    assert all(scores.psnr > 100 for scores in scored(results))  # grey levels rise evenly: every mean is exact
    pairs = [(0, 8), (0, 4), (0, 2), (2, 4), (4, 8), (4, 6), (6, 8)]
    assert sorted(seen) == [pytest.approx(pair, abs=1e-3) for pair in sorted(pairs)]


def test_other_numbers_of_frames_are_refused():
    class Four(FrameSource):
        names = ("four",)

        def __getitem__(self, index):
            return (torch.zeros(3, 8, 8, dtype=torch.uint8),) * 4

    with pytest.raises(ValueError, match=r"samples must have 3, 5, 9, \.\.\. frames, got 4"):
        evaluate(Four(), [average()], process=ALONE)


def test_hd_is_judged_by_luma_clip_by_clip(tmp_path):
    trees.hd(tmp_path, frames=3)
    dataset = HD(tmp_path)
    keep = dataset.names.index("Sintel_Alley2_1280x544:1")
    results = evaluate(dataset, [average()], process=ALONE)
    img0, imgt, img1 = (frame[None] / 255 for frame in dataset[keep])
    expected = psnr_luma(rounded((img0 + img1) / 2), imgt).item()
    assert results.rows[0].mean.psnr_luma == pytest.approx(expected, abs=1e-4)
    assert len(results.failures) == 10 and all("no clip at" in failure.reason for failure in results.failures)


def test_made_up_triplets_do_without_the_attributes_of_a_set():
    assert len(evaluate(MovingShapes(2, split="test"), [average()], process=ALONE).rows[0].images) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_read_is_named_counted_and_in_no_mean(tmp_path, caplog, workers):
    root = trees.noise_triplets(tmp_path, [(32, 48)] * 5)
    expected = evaluate(Vimeo90KTest(root), [tiny_network(SWEEP), average()], process=ALONE)
    folders = [root / "sequences" / name for name in expected.names]
    (folders[0] / "im2.png").write_text("no image")
    Image.new("RGB", (20, 20)).save(folders[2] / "im3.png")
    (folders[3] / "im1.png").unlink()
    results = evaluate(
        Vimeo90KTest(root), [tiny_network(SWEEP), average()], process=ALONE, batch_size=3, workers=workers
    )
    assert [(failure.name, failure.row) for failure in results.failures] == [
        (expected.names[index], "") for index in (0, 2, 3)
    ]
    reasons = ["im2.png is not an image", "must have one size .*im3.png is 20x20", "no image at .*im1.png"]
    for failure, reason in zip(results.failures, reasons, strict=True):
        assert re.search(reason, failure.reason)
        assert caplog.text.count(f"{failure.name} cannot be read") == 1  # however many methods read it
    for row, whole in zip(results.rows, expected.rows, strict=True):
        kept = [whole.images[expected.names[index]].psnr for index in (1, 4)]
        assert list(row.images) == [expected.names[index] for index in (1, 4)]
        assert row.mean.psnr == pytest.approx(sum(kept) / 2, abs=1e-4)


def test_predictions_that_are_not_finite_are_in_no_mean_of_their_row(dataset, tmp_path):
    def broken(img0, img1):
        """NaN for the third triplet, whose first pixel is 20, infinite for the fourth."""
        middle = (img0 + img1) / 2
        middle[(img0[:, 0, 0, 0] * 255).round() == 20] = math.nan
        middle[(img0[:, 0, 0, 0] * 255).round() == 30, 1, 2, 3] = math.inf
        return middle

    store = Store(tmp_path, ALONE, resume=False)
    results = evaluate(dataset, [Function(broken, "broken"), average()], process=ALONE, batch_size=4, store=store)
    reason = "the prediction holds NaN or infinite values"
    assert results.failures == [(dataset.names[index], "broken", reason) for index in (2, 3)]
    ours, plain = results.rows
    assert list(ours.images) == [dataset.names[index] for index in (0, 1, 4)] and len(plain.images) == 5
    assert ours.mean.psnr == pytest.approx(sum(plain.images[name].psnr for name in ours.images) / 3)
    assert len((tmp_path / "images.rank0.jsonl").read_text().splitlines()) == 3 + 5  # what failed is not kept


def test_where_nothing_can_be_scored_the_first_reason_is_told(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_text("no image")
    dataset = TripletDataset(tmp_path, ["."], ("a.png", "b.png", "c.png"))
    with pytest.raises(ValueError, match=r"no sample could be scored; the first, \.: .*a.png is not an image"):
        evaluate(dataset, [average()], process=ALONE)


def test_an_empty_set_and_impossible_options_are_refused(dataset, tmp_path):
    with pytest.raises(ValueError, match="holds no sample"):
        evaluate(TripletDataset(tmp_path, [], ("a", "b", "c")), [average()], process=ALONE)
    for option in ({"batch_size": 0}, {"workers": -1}):
        with pytest.raises(ValueError, match="batch_size must be >= 1 and workers >= 0, got"):
            evaluate(dataset, [average()], process=ALONE, **option)


class Ending(MovingShapes):
    """Its second sample ends the process that reads it."""

    def __getitem__(self, index):
        return os._exit(9) if index == 1 else super().__getitem__(index)


def test_a_worker_that_ends_is_told():
    with pytest.raises(OSError, match=r"^data loading process \d+ exited with status 9$"):
        list(batches(Ending(3, split="test"), list(range(3)), 1, 2))
