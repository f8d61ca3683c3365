"""The wavelet transforms compiled, and exported to ONNX, equal themselves."""

import pytest
import torch
from torch import nn

from pytorch_wavelets import DWT1DForward, DWT1DInverse, DWTForward, DWTInverse

IMAGE, SIGNAL = (2, 1, 18, 26), (2, 1, 18)


class RoundTrip(nn.Module):
    """Bands and reconstruction of two levels; of an image, or of a signal."""

    def __init__(self, wave: str, mode: str, shape=IMAGE):
        super().__init__()
        forward, inverse = (DWTForward, DWTInverse) if shape == IMAGE else (DWT1DForward, DWT1DInverse)
        self.forward_transform, self.inverse_transform = forward(2, wave, mode), inverse(wave, mode)

    def forward(self, x):
        low, highs = self.forward_transform(x)
        return low, *highs, self.inverse_transform((low, highs))


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["zero", "symmetric", "reflect", "periodization", "periodic"])
@pytest.mark.parametrize("wave", ["haar", "db3"])
def test_compiled_without_graph_breaks_nothing_changes(wave, mode):
    transform, image = RoundTrip(wave, mode), torch.randn(IMAGE)
    torch.testing.assert_close(torch.compile(transform, fullgraph=True)(image), transform(image))


@pytest.mark.parametrize("wave", ["haar", "db3"])
def test_one_graph_captures_the_transform_and_its_gradient(wave):
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
    torch.onnx.export(module, (example,), dynamo=True, opset_version=18, verbose=False, **options).save(path)
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


def test_haar_in_onnx_takes_any_size(tmp_path):
    size = {2: 4 * torch.export.Dim("height", min=2, max=512), 3: 4 * torch.export.Dim("width", min=2, max=512)}
    transform, image = RoundTrip("haar", "zero"), torch.randn(2, 1, 20, 32)
    example = torch.randn(2, 1, 12, 16)
    outputs = run_in_onnx(transform, example, image, tmp_path / "wavelets.onnx", dynamic_shapes=(size,))
    torch.testing.assert_close(outputs, transform(image), atol=1e-5, rtol=1e-5)
