"""Learning from another network's flow."""

import pytest
import torch
from helpers.runs import TINY, make_data, scalars, train

from datasets import ClipTriplets
from models import Motion, WaveletVFI
from models.layers import blend
from training.stages import flow_distance, open_teacher, where_better

RIGHT = """
import torch
def right(img0, img1):
    flow = torch.zeros_like(img0[:, :2])
    flow[:, 0] = 4
    return -flow, flow
def small(img0, img1):
    return img0[:, :2, ::2], img1[:, :2]
def nan(img0, img1):
    return img0[:, :2] * float("nan"), img1[:, :2]
def sees_all(img0, img1, imgt, times):
    asked.append((imgt.shape, times))
    return right(img0, img1)
asked = []
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def teacher(tmp_path, monkeypatch):
    """Knows that all moves right, by 4 pixels from one frame to the middle."""
    (tmp_path / "a_teacher.py").write_text(RIGHT)
    monkeypatch.syspath_prepend(tmp_path)
    return "a_teacher:right"


def constant_motion(goal: torch.Tensor, height: int = 32, width: int = 48) -> Motion:
    """The same four flow components everywhere, at every level in pixels of its size."""
    levels = [goal[:, :, None, None].expand(-1, -1, height // s, width // s) / s for s in (8, 4, 2, 1)]
    coarse = tuple(torch.cat([level, torch.full_like(level[:, :1], 9.0)], dim=1) for level in levels[:3])
    rest = torch.zeros(len(goal), 1, height, width), torch.zeros(len(goal), 4)
    return Motion(levels[3][:, :2], levels[3][:, 2:], *rest, coarse)


def test_equal_flows_have_no_distance_and_others_their_mean_length_at_every_level():
    goal = torch.tensor([[3.0, -1.0, 0.5, 2.0], [0.0, 0.0, 0.0, 0.0]])
    taught = tuple(flow.contiguous() for flow in constant_motion(goal)[:2])
    torch.testing.assert_close(flow_distance(constant_motion(goal), taught), torch.full((2,), 8e-3))
    off = torch.tensor([[3.0, 4.0, 0.0, 0.0], [0.0, 1.0, 6.0, 8.0]])
    distance = flow_distance(constant_motion(goal + off), taught)
    torch.testing.assert_close(distance, torch.tensor([20.0, 44.0]), atol=5e-3, rtol=0)


def test_every_level_has_a_gradient_from_a_teacher_alone():
    model = WaveletVFI(TINY)
    frames = torch.rand(2, 2, 3, 32, 48)
    motion = model.motion(*frames)
    assert [tuple(c.shape) for c in motion.coarse] == [(2, 5, 4, 6), (2, 5, 8, 12), (2, 5, 16, 24)]
    flow_distance(
        motion._replace(flow_t0=motion.flow_t0.detach(), flow_t1=motion.flow_t1.detach()),
        (torch.zeros(2, 2, 32, 48), torch.ones(2, 2, 32, 48)),
    ).sum().backward()
    reached = [level.output.weight.grad is not None for level in model.motion.decoders]
    assert reached == [False, True, True, True]
    with torch.no_grad():
        assert model.motion(*frames).coarse == ()


@pytest.mark.parametrize("warm_up", ["1", "0"])
def test_training_comes_nearer_to_the_teacher(data, tmp_path, teacher, warm_up):
    flags = ["--epochs", "12", "--lr_start", "3e-3", "--flow_warmup", warm_up, "--weight_teacher", "0.1"]
    state = train(data, tmp_path / "taught", *flags, "--teacher", teacher)
    distances = scalars(tmp_path / "taught", "loss/distillation")
    names = ("reconstruction", "wavelet", "computation", "distillation")
    terms = zip(*(scalars(tmp_path / "taught", f"loss/{name}") for name in names), strict=True)
    assert scalars(tmp_path / "taught", "loss/total") == pytest.approx([sum(values) for values in terms], rel=1e-5)
    assert sum(distances[-8:]) < 0.95 * sum(distances[:8])
    alone = train(data, tmp_path / "alone", *flags)
    assert set(scalars(tmp_path / "alone", "loss/distillation")) == {0}
    img0, _, img1 = (frame[None, :, :32, :32].float() / 255 for frame in ClipTriplets(data / "clips")[0])
    taught, goal = [], open_teacher(teacher)(img0, img1)
    for weights in (state["model"], alone["model"]):
        model = WaveletVFI(TINY)
        model.load_state_dict(weights)
        taught.append(float(flow_distance(model.motion(img0, img1), goal)))
    assert taught[0] < 0.95 * taught[1]


def test_a_teacher_that_cannot_teach_is_named(teacher):
    frames = torch.rand(2, 2, 3, 32, 48)
    for text, message in {
        "a_teacher": "a teacher is named module:function, got 'a_teacher'",
        "a_teacher:left": "the teacher a_teacher:left cannot be imported: ",
        "a_teacher:torch": "the teacher a_teacher:torch is a module, not a function",
    }.items():
        with pytest.raises(ValueError, match=message):
            open_teacher(text)
    for text, message in {
        "a_teacher:small": r"must give two flows \(2, 2, 32, 48\), got \(2, 2, 16, 48\), \(2, 2, 32, 48\)",
        "a_teacher:nan": "gave a flow that is not finite",
    }.items():
        with pytest.raises(ValueError, match=message):
            open_teacher(text)(*frames)


def test_a_teacher_of_four_arguments_sees_the_true_frame_and_the_times(data, tmp_path, teacher):
    flags = ["--epochs", "1", "--flow_warmup", "1", "--teacher", "a_teacher:sees_all"]
    train(data, tmp_path / "middle", *flags)
    import a_teacher

    assert {(tuple(shape), times) for shape, times in a_teacher.asked} == {((2, 3, 32, 32), None)}
    times = torch.tensor([0.25, 0.5])
    open_teacher("a_teacher:sees_all")(*torch.rand(3, 2, 3, 32, 48), times)
    assert a_teacher.asked[-1][1] is times
    with pytest.raises(ValueError, match="the teacher a_teacher:right knows the middle alone"):
        open_teacher(teacher)(*torch.rand(3, 2, 3, 32, 48), times)


def test_a_teacher_counts_only_where_it_is_better():
    """img1 is img0 moved by 4 pixels: half of the picture has the right flow already."""
    wide = torch.rand(1, 3, 32, 64)
    img0, imgt, img1 = (wide[..., 8 - shift : 56 - shift] for shift in (0, 2, 4))
    right = torch.zeros(1, 2, 32, 48)
    right[:, 0] = 2
    half = right.clone()
    half[..., 24:] = 0
    motion = Motion(-half, half, torch.full((1, 1, 32, 48), 0.5), torch.zeros(1, 4))
    merged = blend(img0, img1, *motion[:3])
    better = where_better((-right, right), motion, merged, (img0, img1), imgt)
    assert better[..., 4:22].sum() == 0
    assert better[..., 26:44].mean() > 0.95
    everywhere = flow_distance(motion, (-right, right))
    torch.testing.assert_close(flow_distance(motion, (-right, right), torch.ones_like(better)), everywhere)
    assert flow_distance(motion, (-right, right), torch.zeros_like(better)) == 0


def test_every_pass_is_taught():
    """Distances of three passes weigh as much as those of one."""
    model = WaveletVFI(TINY)
    img0, img1 = torch.rand(2, 1, 3, 64, 64)
    motion, _ = model.perceive(img0, img1, passes=(2, 1, 0))
    assert [tuple(found.shape[-2:]) for found in motion.passes] == [(16, 16), (32, 32)]
    assert len(motion.coarse) == 5
    goal = torch.full((1, 2, 64, 64), 100.0), torch.full((1, 2, 64, 64), -100.0)
    one, three = (flow_distance(model.perceive(img0, img1, passes=p)[0], goal).item() for p in (1, (2, 1, 0)))
    assert three == pytest.approx(one, rel=0.1)


def test_strides_reach_the_clips(data, tmp_path, capsys):
    train(data, tmp_path, "--epochs", "1", "--strides", "1", "2", "4")
    assert "16 training and 1 validation triplets" in capsys.readouterr().out
