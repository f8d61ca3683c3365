"""Clips as triplets, and the order and randomness of training."""

import pytest
import torch
from clips import make_clip, square

from datasets import ClipTriplets, EpochSampler, TrainingAugmentation, TrainingSet, Vimeo90K, open_triplets
from datasets.training import mix_seeds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "a.mp4", [square(i) for i in range(5)])
    make_clip(folder / "b.mp4", [square(i) for i in range(2)])
    make_clip(folder / "c.mkv", [square(i + 4) for i in range(3)])
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
        return TrainingSet(ClipTriplets(folder), TrainingAugmentation(32), seed=seed)[epoch, index]

    assert sample(1, 0, 0).shape == (3, 3, 32, 32)
    assert torch.equal(sample(1, 5, 2), sample(1, 5, 2))
    assert not torch.equal(sample(1, 5, 2), sample(1, 6, 2))
    assert not torch.equal(sample(1, 5, 2), sample(2, 5, 2))


def test_neighbouring_seeds_give_unrelated_ones():
    seeds = {mix_seeds(a, b) for a in range(50) for b in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)
