"""The network is the released one, number for number."""

import copy

import pytest
import torch
import torch.nn.functional as F
from helpers.reference import images, official_shapes, reference_cases

from models import WaveletVFI
from models.losses import training_loss
from models.weights import FILTERS, to_official, to_ours

CASES = [pytest.param(case, id=f"{case['batch']}x{case['height']}x{case['width']}") for case in reference_cases()]
RATIOS = ["None", "0.0", "0.005", "0.01", "0.015"]


def check(tensor, expected, *, tolerance=1e-4):
    """`tensor` has the sampled values, the mean and the spread of the released network's."""
    flat = tensor.detach().double().flatten()
    torch.testing.assert_close(
        flat[expected["at"]], torch.tensor(expected["values"], dtype=torch.float64), atol=tolerance, rtol=0
    )
    assert float(flat.mean()) == pytest.approx(expected["mean"], abs=tolerance)
    assert float(flat.std(correction=0)) == pytest.approx(expected["std"], abs=tolerance)
    assert float(flat.abs().max()) == pytest.approx(expected["absmax"], abs=10 * tolerance)


def frames_of(case):
    return images(case["batch"], case["height"], case["width"], case["seed"])


@pytest.mark.parametrize("case", CASES)
def test_frames_are_the_reference_frames(case):
    for name, frame in zip(("img0", "imgt", "img1"), frames_of(case), strict=True):
        check(frame, case["inputs"][name], tolerance=1e-6)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("case", CASES)
def test_every_ratio_gives_the_reference_values(case, ratio, known_model):
    img0, imgt, img1 = frames_of(case)
    expected = case["thresholds"][ratio]
    with torch.no_grad():
        output = known_model(img0, img1, ratio=None if ratio == "None" else float(ratio))
        loss = training_loss(output, imgt)
    (candidate,) = output.candidates
    check(output.motion.flow_t0, case["motion"]["flow_t0"])
    check(output.motion.flow_t1, case["motion"]["flow_t1"])
    check(output.motion.occlusion, case["motion"]["occlusion"])
    torch.testing.assert_close(output.motion.ratio_logits, torch.tensor(case["motion"]["logits"]), atol=1e-4, rtol=1e-4)
    check(output.frame, expected["prediction"])
    check(output.merged, expected["merged"])
    check(F.interpolate(candidate.masks[0], scale_factor=2, mode="nearest"), expected["mask1"])
    check(candidate.low, expected["wavelets"]["w4_l"])
    for level in (4, 3, 2, 1):
        check(candidate.highs[level - 1], expected["wavelets"][f"w{level}_h"])
    torch.testing.assert_close(candidate.cost, torch.tensor(expected["cost"]), atol=1e-4, rtol=0)
    for ours, key in ((loss.reconstruction, "rec"), (loss.wavelet, "wav"), (loss.computation, "com")):
        assert float(ours) == pytest.approx(expected[f"loss_{key}"], abs=1e-4)
    chosen = torch.tensor(expected["threshold"]).expand(case["batch"])
    torch.testing.assert_close(candidate.ratio, chosen)


@pytest.mark.parametrize("sparse", ["folded", "masked"])
@pytest.mark.parametrize("temperature", [None, 1.0, 0.4])
@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradient_norms_of_both_stages(case, temperature, sparse, known_model, monkeypatch):
    monkeypatch.setattr(F, "gumbel_softmax", lambda logits, tau: (logits / tau).softmax(1))  # no noise
    model, (img0, imgt, img1) = copy.deepcopy(known_model), frames_of(case)
    model.sparse = sparse
    output = model(img0, img1, ratio=0.0) if temperature is None else model(img0, img1, temperature=temperature)
    loss = training_loss(output, imgt)
    loss.total.backward()
    if temperature is None:
        expected = case["static_training"]
        assert float(loss.total) == pytest.approx(expected["loss"], abs=1e-4)
    else:
        expected = case["dynamic_training"][str(temperature)]
        check(output.frame, expected["prediction"])
        for ours, key in ((loss.reconstruction, "rec"), (loss.wavelet, "wav"), (loss.computation, "com")):
            assert float(ours) == pytest.approx(expected[f"loss_{key}"], abs=1e-4)
    gradients = to_official({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for part, norm in expected["grad_norm"].items():
        ours = torch.stack([g.norm() for n, g in gradients.items() if n.startswith(part + ".")]).norm()
        assert float(ours) == pytest.approx(norm, rel=5e-3), part


def test_every_released_name_maps_to_one_parameter_of_ours_and_back():
    shapes, model = official_shapes(), WaveletVFI("base")
    released = {name: torch.zeros(shape) for name, shape in shapes.items()}
    assert set(to_ours(released)) == set(model.state_dict())
    back = to_official(model.state_dict())
    assert {name: list(value.shape) for name, value in back.items()} == {
        name: shape for name, shape in shapes.items() if name not in FILTERS
    }
    assert sum(parameter.numel() for parameter in model.parameters()) == 19_411_151
