"""The augmentation: each change alone is exact, all three frames get the same, and the seed decides everything."""

import pytest
import torch
import torchvision.transforms.v2.functional as transforms

from datasets.augment import TrainingAugmentation, crop_upscaled, expose

CHANGES = (
    *("upscale", "reverse_channels", "vertical_flip", "horizontal_flip", "transpose", "reverse_time", "exposure"),
    "where_it_moves",
)
NEVER = dict.fromkeys(CHANGES, 0.0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_triplet(size=16):
    return list(torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8, generator=generator(1)))


def test_without_chances_a_crop_of_the_whole_frame_changes_nothing():
    triplet = random_triplet()
    assert torch.equal(TrainingAugmentation(16, **NEVER)(triplet, generator()), torch.stack(triplet))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("reverse_channels", lambda frames: frames[:, [2, 1, 0]]),
        ("vertical_flip", lambda frames: frames.flip(-2)),
        ("horizontal_flip", lambda frames: frames.flip(-1)),
        ("transpose", lambda frames: frames.mT),
        ("reverse_time", lambda frames: frames[[2, 1, 0]]),
    ],
)
def test_each_change_alone_is_exact(name, change):
    triplet = random_triplet()
    changed = TrainingAugmentation(16, **{**NEVER, name: 1})(triplet, generator())
    assert torch.equal(changed, change(torch.stack(triplet)))
    assert changed.is_contiguous()


@pytest.mark.parametrize("seed", range(20))
def test_equal_frames_stay_equal(seed):
    frame = random_triplet(40)[0]
    img0, imgt, img1 = TrainingAugmentation(16, exposure=0.5)([frame] * 3, generator(seed))
    assert torch.equal(img0, imgt) and torch.equal(img1, imgt)


def test_an_exposure_keeps_the_order_of_brightness_and_is_the_formula():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(expose(levels, 0, 1), levels)
    exact = (255 * (levels.double() / 255) ** 1.3 * 2**0.4).clamp(0, 255)
    torch.testing.assert_close(expose(levels, 0.4, 1.3).double(), exact, atol=0.501, rtol=0)


def test_exposures_are_brighter_and_darker_within_their_limits():
    grey = torch.full((3, 16, 16), 128, dtype=torch.uint8)
    augment, draws = TrainingAugmentation(16, **{**NEVER, "exposure": 1}), generator()
    seen = [augment([grey] * 3, draws) for _ in range(300)]
    means = torch.tensor([frames.float().mean() for frames in seen]) / 255
    darkest, brightest = (128 / 255) ** 2**0.5 / 2**0.8, (128 / 255) ** 0.5**0.5 * 2**0.8
    assert 0.2 < darkest - 0.01 <= means.min() < 0.26 and 0.93 < means.max() <= brightest + 0.01
    assert 0.4 < (means > 128 / 255).float().mean() < 0.6
    assert all(len(frames.unique()) == 1 for frames in seen)


def test_the_middle_frame_stays_in_the_middle():
    triplet = [torch.full((3, 8, 8), k, dtype=torch.uint8) for k in (1, 2, 3)]
    augment, draws = TrainingAugmentation(8), generator()
    orders = {tuple(augment(triplet, draws)[:, 0, 0, 0].tolist()) for _ in range(50)}
    assert orders == {(1, 2, 3), (3, 2, 1)}


def test_a_seed_gives_one_result_and_another_seed_another():
    triplet, augment = random_triplet(40), TrainingAugmentation(16)
    assert torch.equal(augment(triplet, generator(5)), augment(triplet, generator(5)))
    assert not torch.equal(augment(triplet, generator(5)), augment(triplet, generator(6)))


def test_the_number_of_draws_does_not_depend_on_what_they_decide():
    after = []
    for augment in (TrainingAugmentation(16, **NEVER), TrainingAugmentation(16, **dict.fromkeys(CHANGES, 1))):
        draws = generator()
        augment(random_triplet(40), draws)
        after.append(torch.rand(1, generator=draws).item())
    assert after[0] == after[1]


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    TrainingAugmentation(16)(random_triplet(40), generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_every_position_of_the_crop_occurs_and_none_outside():
    frame = torch.arange(5 * 6, dtype=torch.uint8).view(1, 5, 6).expand(3, 5, 6)
    augment, draws = TrainingAugmentation(3, **NEVER), generator()
    corners = {augment([frame] * 3, draws)[0, 0, 0, 0].item() for _ in range(300)}
    assert corners == {6 * top + left for top in range(3) for left in range(4)}


def test_changes_happen_as_often_as_their_probability():
    frame = torch.zeros(3, 16, 16, dtype=torch.uint8)
    frame[0, 0] = 255
    augment, draws = TrainingAugmentation(16, **{**NEVER, "vertical_flip": 0.3}), generator()
    flipped = [augment([frame] * 3, draws)[0, 0, -1, 0].item() > 0 for _ in range(1000)]
    assert 0.25 < sum(flipped) / 1000 < 0.35


def test_upscaling_takes_two_and_four_equally_often():
    ramp = (torch.arange(32) * 8).to(torch.uint8).expand(3, 32, 32)
    augment, draws = TrainingAugmentation(16, **{**NEVER, "upscale": 1}), generator()
    # Steps of 8 become steps of 4 or of 2, measured where the border does not repeat.
    steps = [augment([ramp] * 3, draws)[0, 0, 0, 8:10].int().diff().item() for _ in range(400)]
    assert set(steps) <= {0, 2, 4} and 0.4 < steps.count(4) / 400 < 0.6


@pytest.mark.parametrize("factor", [2, 4])
def test_the_upscaled_window_equals_the_window_of_the_upscaled_frame(factor):
    frames = torch.stack(random_triplet(24))
    size = 24 * factor
    whole = transforms.resize(frames, [size, size], antialias=False)
    for top, left in [(0, 0), (1, 2), (7, 3), (13, size - 17), (size - 16, 5), (size - 16, size - 16)]:
        window = crop_upscaled(frames, factor, top, left, 16)
        assert torch.equal(window, whole[..., top : top + 16, left : left + 16])


def test_a_frame_smaller_than_the_crop_fits_once_it_is_upscaled():
    triplet = random_triplet(16)
    assert TrainingAugmentation(32, upscale=1)(triplet, generator()).shape == (3, 3, 32, 32)
    with pytest.raises(ValueError, match=r"crop of 32x32 does not fit into a frame of 16x16 \(upscaled by 1\)"):
        TrainingAugmentation(32, upscale=0)(triplet, generator())


def test_an_empty_crop_is_refused():
    with pytest.raises(ValueError, match="crop must be at least 1 pixel, got 0"):
        TrainingAugmentation(0)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_what_is_no_probability_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"{name} is a probability .*, got {value}"):
        TrainingAugmentation(16, **{name: value})


def test_the_window_lies_where_it_moves():
    """A spot that appears in a corner: of four windows, the one that shows most of it is taken."""
    img0 = torch.zeros(3, 64, 64, dtype=torch.uint8)
    img1 = img0.clone()
    img1[:, 40:, 40:] = 255
    shares = {}
    for chance in (0.0, 1.0):
        augment, draws = TrainingAugmentation(16, **{**NEVER, "where_it_moves": chance}), generator()
        shares[chance] = torch.stack([augment([img0, img0, img1], draws)[2].float().mean() for _ in range(200)]).mean()
    assert shares[1.0] > 2 * shares[0.0]


def test_what_is_drawn_tells_whether_time_is_reversed():
    triplet, draws = random_triplet(), generator()
    augment = TrainingAugmentation(16, **{**NEVER, "reverse_time": 0.5})
    for _ in range(20):
        changes = augment.draw(draws)
        expected = triplet[::-1] if changes.reverse_time else triplet
        assert torch.equal(augment.apply(triplet, changes), torch.stack(expected))
