"""The wavelet modules in use: half precision, autocast, state dicts, torch.compile, export to ONNX."""

import copy

import pytest
import pywt
import torch
from torch import nn

from pytorch_wavelets import DWT1DForward, DWT1DInverse, DWTForward, DWTInverse

IMAGE, SIGNAL = (2, 1, 18, 26), (2, 1, 18)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("wave", ["haar", "db3"])
def test_half_precision_stays_half_and_close_to_float32(wave, dtype):
    image = torch.rand(1, 3, 15, 18)
    forward, inverse = DWTForward(2, wave, "symmetric"), DWTInverse(wave, "symmetric")
    expected = forward(image)
    low, highs = forward.to(dtype)(image.to(dtype))
    restored = inverse.to(dtype)((low, highs))
    assert {low.dtype, *(high.dtype for high in highs), restored.dtype} == {dtype}
    torch.testing.assert_close(low.float(), expected[0], atol=5 * torch.finfo(dtype).eps, rtol=2e-2)
    torch.testing.assert_close(restored.float()[..., :15, :18], image, atol=8 * torch.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("wave", ["haar", "db3"])
def test_autocast_changes_nothing(wave):
    image = torch.randn(1, 1, 16, 16)
    forward, inverse = DWTForward(1, wave), DWTInverse(wave)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low, highs = forward(image)
        restored = inverse((low, highs))
    torch.testing.assert_close((low, highs), forward(image), atol=0, rtol=0)
    torch.testing.assert_close(restored, inverse(forward(image)), atol=0, rtol=0)


def test_casting_the_module_leaves_float64_results_exact():
    image = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    forward = DWTForward(2, "db5", "periodization")
    torch.testing.assert_close(copy.deepcopy(forward).half().double()(image), forward(image), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (DWTForward(wave="db2"), {"h0_col": (4, 1), "h1_col": (4, 1), "h0_row": (1, 4), "h1_row": (1, 4)}),
        (DWTInverse(wave="haar"), {"g0_col": (2, 1), "g1_col": (2, 1), "g0_row": (1, 2), "g1_row": (1, 2)}),
        (DWT1DForward(wave="db2"), {"h0": (4,), "h1": (4,)}),
        (DWT1DInverse(wave="db2"), {"g0": (4,), "g1": (4,)}),
    ],
)
def test_state_dicts_have_the_known_librarys_names_and_shapes(module, expected):
    state = module.state_dict()
    assert {name: tuple(filters.shape) for name, filters in state.items()} == {
        name: (1, 1, *shape) for name, shape in expected.items()
    }
    module.load_state_dict(state)


def test_analysis_filters_are_stored_reversed_and_synthesis_filters_as_they_are():
    wavelet = pywt.Wavelet("db3")
    stored = DWTForward(wave="db3").state_dict()["h1_col"].flatten()
    torch.testing.assert_close(stored, torch.tensor(wavelet.dec_hi).flip(0))
    torch.testing.assert_close(DWTInverse(wave="db3").state_dict()["g1_row"].flatten(), torch.tensor(wavelet.rec_hi))


def test_a_state_dict_of_another_wavelet_is_refused():
    with pytest.raises(ValueError, match=r"other filters \(h0_col\).*built with"):
        DWTForward(wave="db3").load_state_dict(DWTForward(wave="coif1").state_dict())


class RoundTrip(nn.Module):
    """Bands and reconstruction of two levels; of an image, or of a signal."""

    def __init__(self, wave: str, mode: str, shape=IMAGE):
        super().__init__()
        forward, inverse = (DWTForward, DWTInverse) if shape == IMAGE else (DWT1DForward, DWT1DInverse)
        self.forward_transform, self.inverse_transform = forward(2, wave, mode), inverse(wave, mode)

    def forward(self, x):
        low, highs = self.forward_transform(x)
        return low, *highs, self.inverse_transform((low, highs))


@pytest.fixture
def fresh_compiler():
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.parametrize(("wave", "mode"), [("haar", "zero"), ("db3", "symmetric"), ("db3", "periodization")])
def test_compiled_without_graph_breaks_nothing_changes(wave, mode, fresh_compiler):
    transform, image = RoundTrip(wave, mode), torch.randn(IMAGE)
    torch.testing.assert_close(torch.compile(transform, fullgraph=True)(image), transform(image))


@pytest.mark.parametrize("wave", ["haar", pytest.param("db3", marks=pytest.mark.slow)])
def test_one_graph_captures_the_transform_and_its_gradient(wave, fresh_compiler):
    """The same without the code generator, whose C++ takes most of the time."""
    transform, image = RoundTrip(wave, "symmetric"), torch.randn(IMAGE, requires_grad=True)
    compiled = torch.compile(transform, fullgraph=True, backend="aot_eager")
    expected = torch.autograd.grad(sum(band.square().sum() for band in transform(image)), image)
    torch.testing.assert_close(
        torch.autograd.grad(sum(band.square().sum() for band in compiled(image)), image), expected
    )


def run_in_onnx(module, example, image, path, **options):
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.onnx.export(module.eval(), (example,), dynamo=True, opset_version=18, verbose=False, **options).save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    return tuple(torch.from_numpy(output) for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [IMAGE, SIGNAL])
@pytest.mark.parametrize("mode", ["zero", "symmetric", "reflect", "periodization", "periodic"])
@pytest.mark.parametrize("wave", ["haar", "db3"])
def test_onnx_equals_torch(wave, mode, shape, tmp_path):
    transform, x = RoundTrip(wave, mode, shape), torch.randn(shape)
    outputs = run_in_onnx(transform, x, x, tmp_path / "wavelets.onnx")
    torch.testing.assert_close(outputs, transform(x), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_haar_in_onnx_takes_any_size(tmp_path):
    size = {2: 4 * torch.export.Dim("height", min=2, max=512), 3: 4 * torch.export.Dim("width", min=2, max=512)}
    transform, image = RoundTrip("haar", "zero"), torch.randn(2, 1, 20, 32)
    example = torch.randn(2, 1, 12, 16)
    outputs = run_in_onnx(transform, example, image, tmp_path / "wavelets.onnx", dynamic_shapes=(size,))
    torch.testing.assert_close(outputs, transform(image), atol=1e-5, rtol=1e-5)
