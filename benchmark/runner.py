"""Measure accuracy over a set: every frame of every sample, by every method, on one process or on many.

Samples are read in batches of frames of one size. A sample that cannot be read comes with the reason.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

import utils
from datasets import FrameSource, watched
from utils import Process

from .measure.timing import Stopwatch, memory_growth
from .methods import Method, between
from .metrics import Metric
from .scores import Failure, Results, Row, Scores, Store, key_of, mean_of, score, surroundings

Sample = list[list[Scores | None]]  # scores by predicted frame and row; None if a prediction is not finite
Frames = tuple[Tensor, ...]  # the frames of a sample, in the order of time


class _Share(NamedTuple):
    """The results of one method, or those of one process.

    found: by the number of a sample, its scores, or the reason if it could not be read.
    memory: as in `Row`.
    """

    found: dict[int, Sample | str]
    memory: float | None


def evaluate(
    dataset: FrameSource,
    methods: Sequence[Method],
    *,
    process: Process,
    batch_size: int = 1,
    workers: int = 0,
    store: Store | None = None,
    perceptual: Mapping[str, Metric] | None = None,
) -> Results:
    """Predict the inner frames of every sample and compare them with the true ones.

    Each process takes every world_size-th sample, and all return the same results. Frames may have any size. A batch
    has neighbouring samples of one size. A sample that cannot be read and a prediction that is not finite are failures.
    Failures are logged and counted, and are not scored. The main process shows a progress bar with the mean PSNR
    of its own samples and of scores that were kept from an earlier run.

    Args:
        dataset: a `FrameSet`, or any other source whose samples are tuples of 2^n + 1 frames.
        methods: the methods to compare.
        process: the result of `init_distributed`.
        batch_size: samples that are computed together. It does not change the results.
        workers: processes that read images; 0 reads in this process.
        store: keeps scores as they are computed. Scores that it holds already are not computed again.
        perceptual: further metrics, as `open_perceptual` returns them. Their names are fields of `Scores`.
    Raises:
        ValueError: the set is empty, an option is impossible, a method returns something else, or no sample could be
            scored.
    """
    if len(dataset) == 0:
        raise ValueError("the set holds no sample; there is nothing to evaluate")
    if batch_size < 1 or workers < 0:
        raise ValueError(f"batch_size must be >= 1 and workers >= 0, got {batch_size} and {workers}")
    runs = [
        _Run(dataset, method, process, store, perceptual or {}).go(batch_size, workers, fresh=not position)
        for position, method in enumerate(methods)
    ]
    results = _collect(dataset, methods, runs)
    if not any(row.images for row in results.rows):
        first = results.failures[0]
        raise ValueError(f"no sample could be scored; the first, {first.name}: {first.reason}")
    return results


def _collect(dataset: FrameSource, methods: Sequence[Method], runs: list[_Share]) -> Results:
    """Return the rows and the means of all methods."""
    unreadable = {index: reason for run in runs for index, reason in run.found.items() if isinstance(reason, str)}
    failures = [Failure(dataset.names[index], "", reason) for index, reason in sorted(unreadable.items())]
    rows = []
    for method, run in zip(methods, runs, strict=True):
        for position, name in enumerate(method.rows):
            images, broken = _split(dataset.names, run.found, position)
            failures += [Failure(image, name, "the prediction holds NaN or infinite values") for image in broken]
            rows.append(Row(name, images, mean_of(images, by_clip=dataset.by_clip), run.memory))
    return Results(dataset.title, list(dataset.names), rows, failures)


class _Run:
    """The evaluation of one method on one set."""

    def __init__(
        self,
        dataset: FrameSource,
        method: Method,
        process: Process,
        store: Store | None,
        perceptual: Mapping[str, Metric],
    ):
        self.dataset, self.method, self.process, self.store = dataset, method, process, store
        self.metrics = {"luma": dataset.luma, "perceptual": perceptual}
        self.keys: dict[int, str] = {}
        if store:
            settings = {"set": dataset.title, "settings": dataset.settings, "metrics": sorted(perceptual)}
            identity = settings | method.identity | surroundings(process.device)
            self.keys = {index: key_of(identity, dataset.files(index)) for index in range(len(dataset))}

    def go(self, batch_size: int, workers: int, *, fresh: bool) -> _Share:
        """Score all samples and gather the scores of all processes.

        Args:
            fresh: True for the first method. Only its memory can be measured on a CPU.
        """
        found = {}
        for index, key in self.keys.items():
            if (scores := self.store.found.get((key, self.dataset.names[index]))) is not None:
                found[index] = scores
        todo = [index for index in range(len(self.dataset)) if index not in found]
        mine = self._score_share(todo[self.process.rank :: self.process.world_size], found, batch_size, workers, fresh)
        shares = [mine] * self.process.world_size
        if self.process.world_size > 1:
            dist.all_gather_object(shares, mine)
        for share in shares:
            found |= share.found
        return _Share(dict(sorted(found.items())), shares[0].memory)

    def _score_share(
        self, share: list[int], kept: dict[int, Sample], batch_size: int, workers: int, fresh: bool
    ) -> _Share:
        found: dict[int, Sample | str] = {}
        memory, failed, means = None, 0, _RunningMeans(len(self.method.rows), kept.values())
        options = {"total": len(kept) + len(share), "initial": len(kept), "unit": "sample"}
        with tqdm(desc=self.method.name, disable=not self.process.is_main, **options) as bar:
            for indices, frames in batches(self.dataset, share, batch_size, workers):
                if isinstance(frames, Exception):
                    found[indices[0]], failed = str(frames), failed + 1
                    if fresh:  # other methods fail on the same sample
                        utils.logger.warning("%s cannot be read: %s", self.dataset.names[indices[0]], frames)
                else:
                    # On a CPU, this method would use memory again that earlier ones have left.
                    measure = memory is None and (fresh or self.process.device.type == "cuda")
                    batch, growth = self._score(frames, measure=measure)
                    memory = growth if memory is None else memory
                    found |= dict(zip(indices, batch, strict=True))
                    self._keep(indices, batch)
                    means.add(batch)
                bar.set_postfix_str(means.text(failed), refresh=False)
                bar.update(len(indices))
        return _Share(found, memory)

    @torch.inference_mode()
    def _score(self, batch: Frames, *, measure: bool) -> tuple[list[Sample], float | None]:
        """Return the scores of every sample of a batch and, if `measure`, the memory of the prediction in MiB.

        Time and memory are unknown for the rows of a sweep, which are computed together.
        """
        device, alone, found = self.process.device, len(self.method.rows) == 1, []
        img0, *targets, img1 = (frame.to(device, non_blocking=True).float() / 255 for frame in batch)
        parts = len(targets) + 1
        if parts & (parts - 1):  # not a power of two
            raise ValueError(f"samples must have 3, 5, 9, ... frames, got {len(batch)}")
        watch, memory = Stopwatch(device), None

        def predict() -> None:
            with watch.measure("all"):
                found.append(between(self.method, img0, img1, parts))

        if measure and alone:
            memory = memory_growth(predict, device)
        else:
            predict()
        ms = watch.seconds()["all"] * 1e3 / (len(img0) * len(targets)) if alone else None
        columns = [
            [score(prediction, target, ms=ms, **self.metrics) for prediction, target in zip(row, targets, strict=True)]
            for row in found[0]
        ]  # [row][frame][sample]
        samples = [[[row[t][b] for row in columns] for t in range(len(targets))] for b in range(len(img0))]
        return samples, memory

    def _keep(self, indices: list[int], batch: list[Sample]) -> None:
        for index, sample in zip(indices, batch, strict=True):
            if self.store and all(scores is not None for frame in sample for scores in frame):
                self.store.add(self.keys[index], self.dataset.names[index], sample)


def _split(names: list[str], found: dict[int, Sample | str], row: int) -> tuple[dict[str, Scores], list[str]]:
    """Return the scores of one row by the names of the frames, and the names of frames whose predictions have none."""
    images, broken = {}, []
    for index, sample in found.items():
        if isinstance(sample, str):
            continue
        for position, frame in enumerate(sample, 1):
            name = names[index] + (f" {position}/{len(sample) + 1}" if len(sample) > 1 else "")
            if frame[row] is None:
                broken.append(name)
            else:
                images[name] = frame[row]
    return images, broken


class _RunningMeans:
    """The mean PSNR of every row so far, for the progress bar."""

    def __init__(self, rows: int, kept: Iterable[Sample]):
        self.totals, self.counts = [0.0] * rows, [0] * rows
        self.add(kept)

    def add(self, batch: Iterable[Sample]) -> None:
        for row, scores in itertools.chain.from_iterable(enumerate(frame) for sample in batch for frame in sample):
            if scores is not None:
                self.totals[row] += scores.psnr
                self.counts[row] += 1

    def text(self, unreadable: int) -> str:
        pairs = zip(self.totals, self.counts, strict=True)
        means = " ".join(f"{total / count:.3f}" if count else "-" for total, count in pairs)
        return f"PSNR {means}" + (f", {unreadable} cannot be read" if unreadable else "")


def batches(
    dataset: FrameSource, share: list[int], batch_size: int, workers: int
) -> Iterator[tuple[list[int], Frames | Exception]]:
    """Yield the samples in batches. A sample of another size than the one before begins another batch.

    Args:
        dataset: the set.
        share: the numbers of the samples to read.
        batch_size: the largest number of samples in a batch.
        workers: processes that read images; 0 reads in this process.
    Yields:
        The numbers of the samples and their frames, (B, 3, H, W) each; or the number of one sample and its error.
    Raises:
        OSError: a worker ended.
    """
    loader = DataLoader(
        Subset(_Numbered(dataset), share),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_group_by_size,
        pin_memory=torch.cuda.is_available(),
    )
    for groups in watched(loader):
        yield from groups


class _Numbered(Dataset):
    """The samples with their numbers. If one cannot be read, its error is returned: raised, it would end the loader."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, index: int) -> tuple[int, Frames | Exception]:
        try:
            return index, self.dataset[index]
        except (ValueError, OSError) as error:
            return index, error


def _group_by_size(samples: list[tuple[int, Any]]) -> list[tuple[list[int], Frames | Exception]]:
    groups = []
    for kind, group in itertools.groupby(samples, key=lambda sample: _kind(*sample)):
        indices, frames = zip(*group, strict=True)
        together = frames[0] if isinstance(kind, int) else tuple(map(torch.stack, zip(*frames, strict=True)))
        groups.append((list(indices), together))
    return groups


def _kind(index: int, frames: Frames | Exception) -> Any:
    """Return a key that all samples of a batch share: number and size of frames. Each error has a key of its own."""
    return index if isinstance(frames, Exception) else (len(frames), frames[0].shape)
