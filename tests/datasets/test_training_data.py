"""The order and randomness of training."""

import pytest
import torch
from helpers.clips import make_clip, square
from torch.utils.data import DataLoader

from datasets import (
    ClipTriplets,
    EpochSampler,
    TrainingAugmentation,
    TrainingSet,
    Triplet,
    Vimeo90K,
    open_mixture,
    open_triplets,
)
from datasets.loading import mix_seeds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "a.mp4", [square(i) for i in range(5)])
    return folder


def test_a_folder_is_taken_for_what_it_holds(folder, tmp_path):
    assert isinstance(open_triplets(folder, "train"), ClipTriplets)
    with pytest.raises(FileNotFoundError, match="Vimeo90K layout"):
        open_triplets(tmp_path, "test")
    assert issubclass(Vimeo90K, torch.utils.data.Dataset)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_an_epoch_shows_every_sample_at_most_once_and_fills_every_batch(world_size):
    samplers = [EpochSampler(20, 2, rank=rank, world_size=world_size) for rank in range(world_size)]
    seen = [index for sampler in samplers for _, index in sampler]
    assert len(seen) == len(set(seen)) == 20 // (2 * world_size) * 2 * world_size
    assert {len(sampler) for sampler in samplers} == {len(seen) // world_size}


def test_many_processes_share_the_global_batches_of_one():
    def batches(sampler, size):
        order = [index for _, index in sampler]
        return [set(order[i : i + size]) for i in range(0, len(order), size)]

    alone = batches(EpochSampler(21, 4), 4)
    shared = [batches(EpochSampler(21, 2, rank=rank, world_size=2), 2) for rank in range(2)]
    assert alone == [a | b for a, b in zip(*shared, strict=True)]


def test_epochs_differ_and_a_resumed_epoch_goes_on_where_it_was():
    sampler = EpochSampler(20, 2)
    first = list(sampler)
    sampler.start_at(0, 3)
    assert list(sampler) == first[6:]
    sampler.start_at(1, 0)
    assert [index for _, index in sampler] != [index for _, index in first]


def test_too_few_samples_for_a_batch_are_refused():
    with pytest.raises(ValueError, match="7 training samples do not fill one batch of 4 on each of 2 processes"):
        EpochSampler(7, 4, world_size=2)


def test_a_sample_is_a_function_of_seed_epoch_and_index(folder):
    def sample(seed, epoch, index):
        return TrainingSet(ClipTriplets(folder), TrainingAugmentation(32), seed=seed)[epoch, index].frames

    assert sample(1, 0, 0).shape == (3, 3, 32, 32)
    assert torch.equal(sample(1, 5, 2), sample(1, 5, 2))
    assert not torch.equal(sample(1, 5, 2), sample(1, 6, 2))
    assert not torch.equal(sample(1, 5, 2), sample(2, 5, 2))


class Draws:
    """In the place of an augmentation: the random numbers that it would get, and which triplet."""

    def draw(self, generator):
        return (
            TrainingAugmentation(32)
            .draw(torch.Generator())
            ._replace(places=torch.rand(6, generator=generator, dtype=torch.float64), reverse_time=False)
        )

    def apply(self, triplet, changes):
        return torch.cat([changes.places, triplet[0][0, 0, :1].double()])


class Numbers(torch.utils.data.Dataset):
    """Triplet i is grey level i."""

    def __init__(self, length):
        self.names = [f"{index}" for index in range(length)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        return Triplet(*[torch.full((3, 8, 8), index, dtype=torch.uint8)] * 3)


def load(sampler, epochs, *, persistent=False, seed=0, prefetch=2):
    """For every epoch, [(batch, 7)]: six random numbers and the triplet of every sample, read by two workers."""
    loader = DataLoader(
        TrainingSet(Numbers(sampler.length), Draws(), seed=seed),
        sampler.batch_size,
        sampler=sampler,
        num_workers=2,
        persistent_workers=persistent,
        prefetch_factor=prefetch,
    )
    for epoch, batch in epochs:
        sampler.start_at(epoch, batch)
        yield [batch.frames for batch in loader]


def test_no_draw_is_repeated_among_workers_processes_and_epochs_and_every_triplet_comes_once():
    seen = []
    for rank in range(2):
        torch.manual_seed(0)  # the processes of a run start from the same global seed
        for batches in load(EpochSampler(48, 4, rank=rank, world_size=2), [(0, 0), (1, 0)]):
            assert len(batches) == 6
            seen.append(torch.cat(batches))
    for epoch in range(2):
        assert sorted(torch.cat(seen[epoch::2])[:, 6].tolist()) == list(range(48))
    draws = torch.cat(seen)[:, :6].flatten()
    assert len(draws) == 2 * 48 * 6 == len(draws.unique())


def test_workers_kept_over_epochs_and_a_resumed_epoch_give_what_fresh_ones_give():
    epochs = [(0, 0), (1, 0), (2, 3), (2, 0)]
    kept = list(load(EpochSampler(24, 4, seed=5), epochs, persistent=True, prefetch=4))
    fresh = list(load(EpochSampler(24, 4, seed=5), epochs))
    for one, other in zip(kept, fresh, strict=True):
        assert torch.equal(torch.cat(one), torch.cat(other))
    assert torch.equal(torch.cat(kept[2]), torch.cat(kept[3][3:]))


def test_an_epoch_that_is_left_early_does_not_reach_into_the_next():
    sampler = EpochSampler(24, 4)
    data = TrainingSet(Numbers(24), Draws())
    loader = DataLoader(data, 4, sampler=sampler, num_workers=2, persistent_workers=True)
    sampler.start_at(0, 0)
    next(iter(loader))
    sampler.start_at(1, 2)
    indices = [index for _, index in sampler]
    assert torch.cat([batch.frames for batch in loader])[:, 6].tolist() == indices


class Moments(Numbers):
    """Triplet i between grey level 0 and 200, the frame between them as its time says."""

    def moment(self, index, time):
        levels = (0, round(200 * time), 200)
        return Triplet(*(torch.full((3, 32, 32), level, dtype=torch.uint8) for level in levels)), time


def test_a_sample_says_when_its_middle_frame_is_reversed_or_not():
    augmentation = TrainingAugmentation(16, upscale=0, reverse_channels=0)
    data, times = TrainingSet(Moments(60), augmentation, any_time=1.0), []
    for index in range(60):
        (img0, imgt, img1), time = data[0, index]
        first, last = img0[0, 0, 0].item(), img1[0, 0, 0].item()
        assert {first, last} == {0, 200}
        assert imgt[0, 0, 0].item() == pytest.approx(first + time * (last - first), abs=1)
        times.append(time)
    assert min(times) < 0.1 and max(times) > 0.9


def test_other_times_come_as_often_as_asked_for():
    augmentation = TrainingAugmentation(8)
    for chance in (0.0, 0.3, 1.0):
        data = TrainingSet(open_mixture("shapes:200:16x16", "train"), augmentation, any_time=chance, seed=4)
        share = sum(data[0, index].time != 0.5 for index in range(200)) / 200
        assert share == pytest.approx(chance, abs=0.1)
    with pytest.raises(ValueError, match="any_time is a probability and must be between 0 and 1, got 2"):
        TrainingSet(Numbers(4), augmentation, any_time=2)


def test_a_triplet_smaller_than_the_crop_is_named():
    with pytest.raises(ValueError, match="shapes:3:32x48/train/000002: a crop of 64x64 does not fit"):
        TrainingSet(open_mixture("shapes:3:32x48", "train"), TrainingAugmentation(64, upscale=0))[0, 2]


def test_neighbouring_seeds_give_unrelated_ones():
    seeds = {mix_seeds(a, b) for a in range(50) for b in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)
