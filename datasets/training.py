"""The order and the randomness of training samples. They depend on (seed, epoch, index) alone, so a run can resume."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from .augment import TrainingAugmentation
from .triplets import TripletSource


class EpochSampler(Sampler[tuple[int, int]]):
    """A sampler that shuffles each epoch and divides it among processes. It yields (epoch, index).

    Every process gets the same number of samples. Samples that do not fill the last global batch are left out.
    """

    def __init__(self, length: int, batch_size: int, *, rank: int = 0, world_size: int = 1, seed: int = 0) -> None:
        """Set the sizes.

        Args:
            length: number of samples.
            batch_size: samples of one optimizer step on one process.
            rank: the number of this process.
            world_size: number of processes.
            seed: the seed of the order.
        Raises:
            ValueError: the samples do not fill one batch on every process.
        """
        self.length, self.batch_size, self.rank, self.world_size, self.seed = length, batch_size, rank, world_size, seed
        self.epoch, self.first_batch = 0, 0
        if self.batches_per_epoch == 0:
            raise ValueError(
                f"{length} training samples do not fill one batch of {batch_size} on each of {world_size} processes"
            )

    @property
    def batches_per_epoch(self) -> int:
        """The number of batches of each process in one epoch."""
        return self.length // (self.batch_size * self.world_size)

    def start_at(self, epoch: int, batch: int) -> None:
        """Let the next iteration run over `epoch`, beginning with its batch number `batch`."""
        self.epoch, self.first_batch = epoch, batch

    def __len__(self) -> int:
        return (self.batches_per_epoch - self.first_batch) * self.batch_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(mix_seeds(self.seed, self.epoch))
        order = torch.randperm(self.length, generator=generator)
        batches = order[: self.batches_per_epoch * self.batch_size * self.world_size]
        mine = batches.view(self.batches_per_epoch, self.world_size, self.batch_size)[self.first_batch :, self.rank]
        return iter([(self.epoch, index) for index in mine.flatten().tolist()])


class Sample(NamedTuple):
    """One training sample.

    frames: (3 frames, 3, crop, crop) uint8: img0, imgt, img1.
    time: the time of imgt, where img0 is at 0 and img1 at 1.
    """

    frames: Tensor
    time: float


class TrainingSet(Dataset):
    """The augmented triplets. The index is (epoch, index), and the sample is the same in every worker and process."""

    def __init__(
        self, triplets: TripletSource, augmentation: TrainingAugmentation, *, any_time: float = 0.0, seed: int = 0
    ) -> None:
        """Set the source and its augmentation.

        Args:
            triplets: the triplets to read.
            augmentation: the change of each triplet.
            any_time: probability of an inner frame at any time, if the source has such frames.
            seed: the seed of all samples.
        Raises:
            ValueError: `any_time` lies outside [0, 1].
        """
        if not 0 <= any_time <= 1:
            raise ValueError(f"any_time is a probability and must be between 0 and 1, got {any_time}")
        self.triplets, self.augmentation, self.any_time, self.seed = triplets, augmentation, any_time, seed

    def __getitem__(self, position: tuple[int, int]) -> Sample:
        """Read and augment one triplet.

        Raises:
            ValueError: the triplet is smaller than the crop, or cannot be read. The message names it.
        """
        epoch, index = position
        generator = torch.Generator().manual_seed(mix_seeds(self.seed, epoch, index))
        changes = self.augmentation.draw(generator)
        chance, place = torch.rand(2, generator=generator).tolist()
        if chance < self.any_time:
            triplet, time = self.triplets.moment(index, place)
        else:
            triplet, time = self.triplets[index], 0.5
        try:
            frames = self.augmentation.apply(triplet, changes)
        except ValueError as error:
            raise ValueError(f"{self.triplets.names[index]}: {error}") from error
        return Sample(frames, 1 - time if changes.reverse_time else time)


def mix_seeds(*seeds: int) -> int:
    """Return one seed made of several numbers, by an FNV-1a hash. Neighbouring numbers give unrelated seeds."""
    value = 0xCBF29CE484222325
    for seed in seeds:
        for byte in (seed & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little"):
            value = (value ^ byte) * 0x100000001B3 % 2**64
    return value >> 1  # fits a signed 64-bit seed
