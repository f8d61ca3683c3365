"""Made-up triplets: the seed decides everything, the motion is the one that is told, and what is in front hides."""

import math

import pytest
import torch
import torch.nn.functional as F
from helpers.true_motion import find_front, moved, true_motion

from datasets import MovingCutouts, MovingShapes, Triplet, open_triplets, scenes
from datasets.scenes import Draw, Layer, paint_layers, pixel_centres
from models.layers import backward_warp

SIZE, SPLITS = (48, 64), ("train", "test")


def flat(colour):
    return lambda local: torch.tensor(colour).view(3, 1, 1).expand(*local.shape[:-3], 3, *local.shape[-2:])


def background(colour=(0.0, 0.0, 0.0)):
    return Layer(scenes.everywhere, flat(colour), torch.zeros(2), torch.zeros(2))


def disc(centre, motion, radius=8.0, colour=(1.0, 1.0, 1.0)):
    return Layer(scenes.disc(None, radius), flat(colour), torch.tensor(centre), torch.tensor(motion))


def paint(*layers, times=(0.0, 0.5, 1.0)):
    return paint_layers(list(layers), pixel_centres(SIZE), torch.tensor(times))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_triplet_is_a_function_of_seed_split_and_index():
    first = MovingShapes(4, size=SIZE)
    torch.rand(3)
    again = MovingShapes(9, size=SIZE)
    assert all(same(first[index], again[index]) for index in (3, 0, 2))
    others = [MovingShapes(4, size=SIZE, seed=1)[0], MovingShapes(4, "test", size=SIZE)[0], first[1]]
    assert not any(same(first[0], other) for other in others)


def test_the_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    MovingShapes(1)[0]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("time", [0.125, 0.5, 0.9])
def test_a_moment_is_painted_at_its_time(time):
    shapes = MovingShapes(2, size=(48, 64))
    triplet, found = shapes.moment(1, time)
    frames = paint_layers(shapes.layers(1), pixel_centres((48, 64)), torch.tensor([0.0, time, 1.0]))
    assert found == time
    assert torch.equal(torch.stack(list(triplet)), (frames * 255).round().byte())


def test_the_splits_have_no_triplet_in_common():
    train, test = ({t.imgt.numpy().tobytes() for t in MovingShapes(40, split, size=(16, 16))} for split in SPLITS)
    assert len(train) == len(test) == 40 and not train & test


def test_it_behaves_like_a_folder_of_triplets():
    triplets = MovingShapes(3, "test", size=SIZE)
    assert len(triplets) == len(list(triplets)) == 3
    assert triplets.names == ["test/000000", "test/000001", "test/000002"]
    assert triplets[0]._fields == ("img0", "imgt", "img1")
    for frame in triplets[2]:
        assert frame.shape == (3, *SIZE) and frame.dtype == torch.uint8


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_outside_is_refused(index):
    with pytest.raises(IndexError, match=f"no triplet {index}: there are 3"):
        MovingShapes(3)[index]


def test_without_motion_the_frames_are_equal_and_everything_is_seen():
    triplets = MovingShapes(5, size=SIZE, motion=0)
    for index, (img0, imgt, img1) in enumerate(triplets):
        assert torch.equal(img0, imgt) and torch.equal(imgt, img1)
        motion = true_motion(triplets, index)
        assert not motion.flow_t0.any() and motion.seen_in_0.all() and motion.seen_in_1.all()


def test_whole_pixels_of_motion_are_a_shift():
    img0, imgt, img1 = paint(background(), disc((30.0, 20.0), (6.0, -4.0)))
    assert torch.equal(img0.roll((-2, 3), (-2, -1)), imgt)
    assert torch.equal(imgt.roll((-2, 3), (-2, -1)), img1)


@pytest.mark.parametrize("outline", [scenes.disc, scenes.rectangle, scenes.polygon])
def test_outlines_cover_the_same_area_and_have_the_told_centre_at_any_fraction_of_a_pixel(outline):
    distance = outline(Draw(5), 9.0)
    areas, offsets = [], []
    for shift in torch.linspace(0, 1, 5).tolist():
        centre = torch.tensor([30.0 + shift, 22.0 + shift / 2])
        (frame,) = paint(background(), Layer(distance, flat((1.0, 1.0, 1.0)), centre, torch.zeros(2)), times=(0.5,))
        areas.append(frame[0].sum().item())
        offsets.append((pixel_centres(SIZE) * frame[0]).sum((1, 2)) / frame[0].sum() - centre)
    assert max(areas) / min(areas) < 1.01
    assert (torch.stack(offsets) - offsets[0]).abs().max() < 0.05
    if outline is scenes.disc:
        assert areas == pytest.approx([math.pi * 81] * 5, rel=0.01)


def test_what_is_in_front_hides_what_is_behind():
    frame = paint(background(), disc((30.0, 20.0), (0.0, 0.0)), disc((34.0, 20.0), (0.0, 0.0), colour=(1.0, 0.0, 0.0)))
    assert frame[1, :, 20, 34].tolist() == [1, 0, 0]
    assert frame[1, :, 20, 24].tolist() == [1, 1, 1]
    layers = [background(), disc((30.0, 20.0), (0.0, 0.0)), disc((34.0, 20.0), (0.0, 0.0))]
    front = find_front(layers, pixel_centres(SIZE), 0.5)
    assert [front[20, x].item() for x in (10, 24, 34)] == [0, 1, 2]


def test_the_flow_ends_where_the_layer_was_and_will_be():
    triplets = MovingShapes(1, size=SIZE)
    triplets.layers = lambda index: [background(), disc((30.0, 20.0), (6.0, -4.0)), disc((43.0, 20.0), (0.0, 0.0))]
    motion = true_motion(triplets, 0)
    assert motion.flow_t0[:, 20, 30].tolist() == [-3, 2] and motion.flow_t1[:, 20, 30].tolist() == [3, -2]
    assert motion.flow_t0[:, 2, 2].tolist() == [0, 0]
    # The second disc reaches from x = 35 on: the first one's right edge is behind it in img1 but not in img0.
    assert motion.seen_in_0[0, 20, 33] and not motion.seen_in_1[0, 20, 33]


def test_a_flow_out_of_the_frame_is_not_seen():
    triplets = MovingShapes(1, size=SIZE)
    triplets.layers = lambda index: [background()._replace(motion=torch.tensor([8.0, 0.0]))]
    motion = true_motion(triplets, 0)
    assert not motion.seen_in_0[0, :, :4].any() and motion.seen_in_0[0, :, 4:].all()
    assert not motion.seen_in_1[0, :, -4:].any() and motion.seen_in_1[0, :, :-4].all()


@pytest.mark.parametrize("twist", [False, True])
@pytest.mark.parametrize("side", [0, 1])
def test_warping_by_the_true_flow_gives_the_middle_frame_where_it_may_be_trusted(side, twist):
    triplets, warped, averaged = MovingShapes(20, size=SIZE, twist=twist), [], []
    for index, triplet in enumerate(triplets):
        img0, imgt, img1 = (frame.float() for frame in triplet)
        motion = true_motion(triplets, index)
        flow, seen = ((motion.flow_t0, motion.seen_in_0), (motion.flow_t1, motion.seen_in_1))[side]
        trusted = (-F.max_pool2d(-seen.float(), 5, 1, 2))[0] > 0  # two pixels from what is hidden
        assert trusted.float().mean() > 0.5
        ours = backward_warp((img0, img1)[side][None], flow[None])[0]
        warped.append((ours - imgt).abs()[:, trusted].mean())
        averaged.append(((img0 + img1) / 2 - imgt).abs()[:, trusted].mean())
    warped, averaged = torch.stack(warped).mean(), torch.stack(averaged).mean()
    assert warped < 3 and warped < averaged / 1.5  # grey levels; bilinear sampling blurs what is two pixels wide


def test_what_turns_and_grows_is_where_it_is_moved_to():
    """A layer at another time is the layer at `moved` positions, and back again."""
    layer = disc((30.0, 20.0), (6.0, -4.0))._replace(turn=0.4, growth=1.3)
    here = pixel_centres(SIZE)
    torch.testing.assert_close(moved(layer, here, 0.5), here)
    for time in (0.0, 0.7, 1.0):
        there = moved(layer, here, time)
        local = scenes._local(layer, there, torch.tensor([time]))[0]
        torch.testing.assert_close(local, here - layer.centre[:, None, None], atol=1e-4, rtol=0)
    centre = moved(layer, layer.centre.view(2, 1, 1), 1.0).flatten()
    assert centre.tolist() == pytest.approx([33.0, 18.0])


def test_a_disc_that_grows_covers_its_area_at_every_time():
    layer = disc((32.0, 24.0), (0.0, 0.0))._replace(growth=1.44, turn=1.0)
    frames = paint(background(), layer, times=(0.0, 0.5, 1.0))
    areas = frames[:, 0].sum((1, 2)).tolist()
    assert areas == pytest.approx([math.pi * 64 / 1.44, math.pi * 64, math.pi * 64 * 1.44], rel=0.01)


def test_outlines_move_no_further_than_told_by_turning_and_growing():
    for index in range(20):
        for layer in MovingShapes(20, size=SIZE, motion=10, twist=True).layers(index):
            assert abs(layer.turn) <= 0.5 and 1 / 1.5 <= layer.growth <= 1.5
            assert layer.turn != 0 and layer.growth != 1
    assert all(layer.turn == 0 and layer.growth == 1 for layer in MovingShapes(1, size=SIZE).layers(0))


def test_no_motion_is_longer_than_the_longest():
    triplets = MovingShapes(50, motion=6)
    drawn = [triplets.layers(index) for index in range(50)]
    lengths = torch.stack([layer.motion.norm() for layers in drawn for layer in layers[1:]])
    assert 5 < lengths.max() <= 6
    assert max(layers[0].motion.norm() for layers in drawn) <= 3


class Colours:
    """Triplets whose middle frames each have one colour."""

    def __init__(self, *levels):
        self.levels = levels

    def __len__(self):
        return len(self.levels)

    def __getitem__(self, index):
        return Triplet(*(torch.full((3, *SIZE), level, dtype=torch.uint8) for level in (0, self.levels[index], 0)))


def test_cut_outs_are_of_the_middle_frames():
    cutouts = MovingCutouts(Colours(40, 90, 210), 30, size=SIZE)
    assert {40, 90, 210} == {int(level) for triplet in cutouts for level in triplet.imgt.mode(dim=2).values.flatten()}
    assert all(int(frame.min()) >= 40 and int(frame.max()) <= 210 for triplet in cutouts for frame in triplet)


def test_cut_outs_are_a_function_of_seed_split_and_index():
    frames = Colours(*range(0, 250, 10))
    first = MovingCutouts(frames, 4, size=SIZE)
    torch.rand(3)
    assert all(same(first[index], MovingCutouts(frames, 9, size=SIZE)[index]) for index in (3, 0, 2))
    others = [MovingCutouts(frames, 4, size=SIZE, seed=1)[0], MovingCutouts(frames, 4, "test", size=SIZE)[0], first[1]]
    assert not any(same(first[0], other) for other in others)


def test_a_picture_moves_without_changing():
    """By whole pixels it is shifted, and it has the colours of the frame."""
    frame = F.interpolate(torch.rand(1, 3, 12, 16), size=SIZE, mode="bicubic", align_corners=False)[0].clamp(0, 1)
    layer = background()._replace(texture=scenes.picture(Draw(3), frame).colour, motion=torch.tensor([6.0, -4.0]))
    img0, imgt, img1 = paint(layer)
    for earlier, later in ((img0, imgt), (imgt, img1)):
        torch.testing.assert_close(earlier[:, 2:, :-3], later[:, :-2, 3:], atol=1e-4, rtol=0)
    assert frame.min() <= imgt.min() and imgt.max() <= frame.max() + 1e-6 and imgt.std() > 0.05


@pytest.mark.parametrize("period", [10.0, math.inf])
def test_a_periodic_texture_moves_less_than_half_a_period(period):
    """Otherwise the shorter motion the other way looks the same, and there is no right answer."""

    def paint_dots(draw, radius):
        return scenes.Texture(flat((1.0, 1.0, 1.0)), period)

    layers = [layer for seed in range(20) for layer in scenes.random_scene(Draw(seed), SIZE, 40.0, [paint_dots])]
    longest = max(layer.motion.norm().item() for layer in layers)
    assert 3 < longest <= 4 if period == 10 else 30 < longest <= 40


@pytest.mark.parametrize("seed", range(10))
def test_a_weave_repeats_after_its_period_and_not_before(seed):
    texture = scenes._weave(Draw(seed), 0)
    y, x = torch.meshgrid(torch.arange(0, 120.0, 4), torch.arange(0, 120.0, 4), indexing="ij")
    angles = torch.arange(0, math.pi, math.pi / 90)

    def likeness(way):
        ways = way * torch.stack([angles.cos(), angles.sin()], -1)[:, :, None, None]
        here, there = texture.colour(torch.stack([x, y])[None]), texture.colour(torch.stack([x, y]) + ways)
        here, there = (image - image.mean((-1, -2), keepdim=True) for image in (here, there))
        return (here * there).sum((1, 2, 3)) / (here.square().sum((1, 2, 3)) * there.square().sum((1, 2, 3))).sqrt()

    assert (texture.colour(torch.stack([x, y])[None]) - 0.5).abs().max() <= 0.5
    assert max(likeness(share * texture.period).max() for share in torch.arange(0.5, 0.7, 0.05)) < 0.6
    assert max(likeness(share * texture.period).max() for share in torch.arange(0.85, 1.2, 0.05)) > 0.8


def test_cut_outs_have_a_known_motion_too():
    triplets = MovingCutouts(MovingShapes(8, size=SIZE), 10, size=SIZE, motion=12)
    ours, averaged = [], []
    for index, (img0, imgt, img1) in enumerate(triplets):
        motion = true_motion(triplets, index)
        trusted = (-F.max_pool2d(-motion.seen_in_0.float(), 5, 1, 2))[0] > 0
        warped = backward_warp(img0.float()[None], motion.flow_t0[None])[0]
        ours.append((warped - imgt).abs()[:, trusted].mean())
        averaged.append(((img0.float() + img1) / 2 - imgt).abs()[:, trusted].mean())
    assert torch.stack(ours).mean() < torch.stack(averaged).mean() / 2


def test_cut_outs_of_a_root():
    triplets = open_triplets("cutouts:5:32x48:shapes:3:96x96", "test")
    assert len(triplets) == 5 and triplets.names[4] == "test/000004" and triplets[0].imgt.shape == (3, 32, 48)
    assert same(triplets[1], MovingCutouts(MovingShapes(3, "test"), 5, "test", size=(32, 48))[1])
    assert open_triplets("cutouts:2:shapes:3", "train")[0].img0.shape == (3, 256, 256)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_triplets("cutouts:2:nowhere", "train")


@pytest.mark.parametrize("spec", ["cutouts:", "cutouts:3", "cutouts:3:", "cutouts:many:root", "cutouts:-1:root"])
def test_malformed_cut_outs_are_refused(spec):
    with pytest.raises(ValueError, match=rf"'{spec}' must be cutouts:COUNT:ROOT or cutouts:COUNT:HEIGHTxWIDTH:ROOT"):
        open_triplets(spec, "train")


def test_a_root_names_them():
    triplets = open_triplets("shapes:5:32x48", "test")
    assert len(triplets) == 5 and triplets[0].imgt.shape == (3, 32, 48)
    assert same(triplets[1], MovingShapes(5, "test", size=(32, 48))[1])
    assert open_triplets("shapes:2", "train")[0].img0.shape == (3, 96, 96)
    far = open_triplets("shapes:3:32x48@20", "train")
    assert same(far[1], MovingShapes(3, size=(32, 48), motion=20, twist=True)[1])
    cut = open_triplets("cutouts:2:32x48@30:shapes:3:96x96", "train")
    assert (cut.size, cut.motion, cut.twist) == ((32, 48), 30, True)


@pytest.mark.parametrize(
    "spec", ["shapes:", "shapes:many", "shapes:-1", "shapes:4:64", "shapes:4:64x", "shapes:4:6x6:1"]
)
def test_a_malformed_root_is_refused(spec):
    with pytest.raises(ValueError, match=rf"'{spec}' must be shapes:COUNT or shapes:COUNT:HEIGHTxWIDTH"):
        open_triplets(spec, "train")


@pytest.mark.parametrize(("spec", "came"), [("shapes:0", "0 of 96x96"), ("shapes:4:8x64", "4 of 8x64")])
def test_nothing_to_see_is_refused(spec, came):
    with pytest.raises(ValueError, match=f"at least 1 triplet of at least 16x16 pixels is needed, got {came}"):
        open_triplets(spec, "train")


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match='split must be "train" or "test", got \'val\''):
        MovingShapes(1, "val")


@pytest.mark.parametrize("motion", [-1, math.inf, math.nan])
def test_an_impossible_motion_is_refused(motion):
    with pytest.raises(ValueError, match=f"largest motion must be 0 or more pixels, got {motion}"):
        MovingShapes(1, motion=motion)
