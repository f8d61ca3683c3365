"""The wavelet transforms against PyWavelets, band by band, and the laws of orthogonal and invertible transforms."""

import itertools

import numpy as np
import pytest
import pywt
import torch

import pytorch_wavelets
from pytorch_wavelets import DWT1DForward, DWT1DInverse, DWTForward, DWTInverse, haar_forward, haar_inverse

MODES = ["zero", "symmetric", "reflect", "periodization", "periodic"]
WAVELETS = pywt.wavelist(kind="discrete")
TRANSFORMS = {
    1: (DWT1DForward, DWT1DInverse, pywt.wavedec, pywt.waverec),
    2: (DWTForward, DWTInverse, pywt.wavedec2, pywt.waverec2),
}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}
pytestmark = pytest.mark.filterwarnings("ignore:Level value of:UserWarning")  # PyWavelets, on short signals


def bands_of_pywt(coefficients):
    """PyWavelets' list, coarsest first, as (yl, yh) with yh finest first and the 2-D bands stacked."""
    low, *highs = coefficients
    return low, [np.stack(high, axis=2) if isinstance(high, tuple) else high for high in reversed(highs)]


def assert_equals(ours, oracle, dtype):
    oracle = torch.from_numpy(np.ascontiguousarray(oracle))
    scale = max(1.0, oracle.abs().max())  # some wavelets amplify: bior3.1 to thousands within four levels
    torch.testing.assert_close(ours, oracle.to(dtype), atol=TOLERANCE[dtype] * scale, rtol=0)


def assert_transform_equals_pywt(wave, mode, size, level):
    """Every band and the reconstruction; of signals if size has one number, of images if two."""
    forward, inverse, wavedec, waverec = TRANSFORMS[len(size)]
    forward, inverse = forward(level, wave, mode), inverse(wave, mode)
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    coefficients = wavedec(x.numpy(), wave, mode, level=level)
    low, highs = bands_of_pywt(coefficients)
    for dtype in TOLERANCE:
        yl, yh = forward(x.to(dtype))
        for ours, oracle in zip([yl, *yh], [low, *highs], strict=True):
            assert_equals(ours, oracle, dtype)
        assert_equals(inverse((yl, yh)), waverec(coefficients, wave, mode), dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wave", WAVELETS)
def test_image_bands_and_reconstruction_equal_pywavelets(wave, mode):
    assert_transform_equals_pywt(wave, mode, size=(17, 24), level=2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wave", WAVELETS)
def test_signal_bands_and_reconstruction_equal_pywavelets(wave, mode):
    assert_transform_equals_pywt(wave, mode, size=(37,), level=2)


@pytest.mark.parametrize(("mode", "size"), sorted({*itertools.product(MODES, [1, 2, 3, 5])} - {("reflect", 1)}))
@pytest.mark.parametrize("wave", ["haar", "db2", "db3", "db4", "sym8"])
def test_signals_shorter_than_the_filter_equal_pywavelets(wave, mode, size):
    assert_transform_equals_pywt(wave, mode, (size,), level=1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wave", WAVELETS)
def test_every_size_and_level_equals_pywavelets(wave, mode):
    for size, level in itertools.product([(9, 5), (16, 16), (33, 70), (64, 47)], [1, 2, 3, 4]):
        if mode == "reflect" and min(size) >> (level - 1) < 3:
            continue  # a band of size 1 has no reflection
        assert_transform_equals_pywt(wave, mode, size, level)
        assert_transform_equals_pywt(wave, mode, size[:1], level)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wave", ["haar", "db4", "bior4.4", "coif3", "rbio3.3"])
def test_the_inverse_of_the_forward_transform_is_the_image(wave, mode):
    image = torch.randn(1, 3, 21, 32, dtype=torch.float64)
    restored = DWTInverse(wave, mode)(DWTForward(3, wave, mode)(image))
    torch.testing.assert_close(restored[..., :21, :32], image, atol=1e-9, rtol=0)


@pytest.mark.parametrize("wave", ["haar", "db4", "sym5", "coif2"])
def test_orthogonal_wavelets_keep_the_energy_of_a_periodic_image(wave):
    image = torch.randn(1, 2, 32, 64, dtype=torch.float64)
    low, highs = DWTForward(2, wave, "periodization")(image)
    energy = low.square().sum() + sum(high.square().sum() for high in highs)
    torch.testing.assert_close(energy, image.square().sum())


@pytest.mark.parametrize("shape", [(2, 3, 8, 12), (1, 1, 2, 2)])
def test_haar_functions_equal_pywavelets_and_invert_each_other(shape):
    image = torch.randn(shape, dtype=torch.float64)
    oracle_low, oracle_high = pywt.dwt2(image.numpy(), "haar")
    for requires_grad in (False, True):  # each has its own way of writing the result
        low, high = haar_forward(image.requires_grad_(requires_grad))
        assert low.requires_grad == requires_grad
        assert_equals(low.detach(), oracle_low, torch.float64)
        assert_equals(high.detach(), np.stack(oracle_high, axis=2), torch.float64)
        torch.testing.assert_close(haar_inverse(low, high), image, atol=1e-14, rtol=0)


def test_haar_functions_take_any_memory_layout():
    image = torch.randn(2, 6, 8, 12)
    for view in (image.to(memory_format=torch.channels_last), image.mT.contiguous().mT, image[:, ::2]):
        low, high = haar_forward(view)
        torch.testing.assert_close(haar_inverse(low, high), view)
        torch.testing.assert_close(low, haar_forward(view.contiguous())[0])


def test_haar_functions_follow_torch_func():
    images = torch.randn(2, 1, 3, 4, 6)
    slopes = torch.func.jvp(lambda x: haar_inverse(*haar_forward(x)), (images[0],), (images[1],))
    torch.testing.assert_close(slopes, tuple(images))  # the identity and its derivative
    torch.testing.assert_close(torch.vmap(haar_forward)(images)[0][1], haar_forward(images[1])[0])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wave", ["haar", "db2"])
def test_gradients_are_those_of_finite_differences(wave, mode):
    image = torch.randn(1, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    forward, inverse = DWTForward(1, wave, mode), DWTInverse(wave, mode)
    assert torch.autograd.gradcheck(lambda x: (forward(x)[0], *forward(x)[1]), image)
    low, (high,) = forward(image)
    assert torch.autograd.gradcheck(lambda a, b: inverse((a, [b])), (low.detach().requires_grad_(), high.detach()))
    assert torch.autograd.gradcheck(lambda a, b: inverse((a, [b])), (low.detach(), high.detach().requires_grad_()))


@pytest.mark.parametrize("wave", ["haar", "db3"])
def test_gradients_of_signals_are_those_of_finite_differences(wave):
    signal = torch.randn(1, 2, 9, dtype=torch.float64, requires_grad=True)
    forward, inverse = DWT1DForward(2, wave, "symmetric"), DWT1DInverse(wave, "symmetric")
    assert torch.autograd.gradcheck(lambda x: inverse(forward(x)), signal)


def test_filter_tuples_are_the_wavelet_they_come_from():
    wavelet, image = pywt.Wavelet("bior2.4"), torch.randn(1, 1, 12, 14)
    bands = DWTForward(2, wavelet, "symmetric")(image)
    analysis, synthesis = (wavelet.dec_lo, wavelet.dec_hi), (np.array(wavelet.rec_lo), torch.tensor(wavelet.rec_hi))
    torch.testing.assert_close(DWTForward(2, analysis, "symmetric")(image), bands)
    torch.testing.assert_close(DWTInverse(synthesis, "symmetric")(bands), image)


@pytest.mark.parametrize("axes", [1, 2])
def test_haar_filters_of_the_other_sign_are_not_taken_for_haar(axes):
    haar = pywt.Wavelet("haar")
    swapped = pywt.Wavelet("swapped", filter_bank=(haar.rec_lo, haar.rec_hi, haar.dec_lo, haar.dec_hi))
    assert_transform_equals_pywt(swapped, "zero", (6, 8)[:axes], level=1)


def test_of_four_filters_the_first_two_run_along_the_width():
    """The known library's reading of (low_col, high_col, low_row, high_row), found by comparison with it."""
    wide, tall = pywt.Wavelet("bior2.4"), pywt.Wavelet("db3")
    image = torch.randn(1, 2, 20, 22, dtype=torch.float64)
    low, (high,) = DWTForward(1, (wide.dec_lo, wide.dec_hi, tall.dec_lo, tall.dec_hi), "symmetric")(image)
    oracle_low, oracle_high = pywt.dwt2(image.numpy(), (tall, wide), "symmetric")
    assert_equals(low, oracle_low, torch.float64)
    assert_equals(high, np.stack(oracle_high, axis=2), torch.float64)
    restored = DWTInverse((wide.rec_lo, wide.rec_hi, tall.rec_lo, tall.rec_hi), "symmetric")((low, [high]))
    torch.testing.assert_close(restored, image)


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("wave", ["haar", "db2"])
def test_none_bands_are_zeros(wave, missing):
    transforms = [(DWTForward, DWTInverse, (1, 2, 19, 22)), (DWT1DForward, DWT1DInverse, (1, 2, 19))]
    for forward, inverse, shape in transforms:
        low, highs = forward(3, wave, "symmetric")(torch.randn(shape))
        zeros = [high * (i != missing) for i, high in enumerate(highs)]
        highs[missing] = None
        expected = inverse(wave, "symmetric")((low, zeros))
        restored = inverse(wave, "symmetric")((low, highs))
        kept = tuple(map(slice, expected.shape))  # without the finest band nothing tells that its size was odd
        torch.testing.assert_close(restored[kept], expected)
        assert missing == 0 or restored.shape == expected.shape


def test_zero_levels_return_the_input():
    image, signal = torch.randn(1, 1, 5, 5), torch.randn(1, 1, 5)
    for forward, inverse, x in ((DWTForward, DWTInverse, image), (DWT1DForward, DWT1DInverse, signal)):
        low, highs = forward(J=0)(x)
        assert low is x and highs == []
        assert inverse()((low, [])) is x


def test_aliases_are_the_known_librarys():
    assert DWTForward(mode="per").mode == "periodization"
    for alias, name in {"DWT": "DWTForward", "DWT2D": "DWTForward", "DWT1D": "DWT1DForward"}.items():
        assert getattr(pytorch_wavelets, alias) is getattr(pytorch_wavelets, name)
        assert getattr(pytorch_wavelets, f"I{alias}") is getattr(pytorch_wavelets, name.replace("Forward", "Inverse"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"wave": "nonsense"}, ValueError, "unknown discrete wavelet 'nonsense'"),
        ({"wave": "morl"}, ValueError, "unknown discrete wavelet 'morl'"),
        ({"wave": 3}, TypeError, "wavelet name.* got int"),
        ({"wave": ([1.0, 1.0],) * 3}, ValueError, "tuple of 3 filters"),
        ({"wave": ([1.0, 1.0], [1.0, 1.0, 0.0, 0.0])}, ValueError, "same even length, got 2 and 4"),
        ({"wave": ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])}, ValueError, "same even length, got 3 and 3"),
        ({"wave": ([], [])}, ValueError, "same even length, got 0 and 0"),
        ({"mode": "constant"}, ValueError, "unknown boundary mode 'constant'"),
        ({"J": -1}, ValueError, "J counts the levels"),
        ({"J": 1.5}, ValueError, "J counts the levels"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        DWTForward(**arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: DWTForward()(torch.rand(3, 8, 8)), ValueError, r"needs \(N, C, H, W\)"),
        (lambda: DWT1DForward()(torch.rand(1, 3, 8, 8)), ValueError, r"needs \(N, C, L\)"),
        (lambda: DWT1DForward(wave=([1.0, 1.0],) * 4), ValueError, "one axis"),
        (lambda: DWTInverse()((torch.rand(3, 8, 8), [])), ValueError, r"DWTInverse needs \(N, C, H, W\)"),
        (lambda: DWTForward()(torch.rand(1, 3, 0, 8)), ValueError, "sizes >= 1"),
        (lambda: DWTForward()(torch.ones(1, 1, 4, 4, dtype=torch.int64)), TypeError, "got torch.int64"),
        (lambda: DWTForward(1, "db2", "reflect")(torch.rand(1, 1, 1, 4)), ValueError, "an axis of size 1"),
        (lambda: haar_inverse(torch.rand(2, 4, 4), torch.rand(2, 1, 3, 4, 4)), ValueError, "use DWTInverse"),
        (lambda: haar_forward(torch.rand(1, 3, 5, 4)), ValueError, "even H and W"),
        (lambda: haar_forward(torch.rand(1, 3, 4, 5)), ValueError, "even H and W"),
        (lambda: haar_forward(torch.rand(3, 4, 4)), ValueError, "even H and W"),
        (lambda: haar_forward(torch.ones(1, 1, 4, 4).int()), TypeError, "got torch.int32"),
    ],
)
def test_wrong_inputs_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("shape", [(1, 2, 3, 5, 4), (1, 2, 3, 4, 2), (1, 2, 2, 4, 4), (1, 1, 3, 4, 4), (1, 2, 4, 4)])
def test_bands_that_do_not_belong_together_are_refused(shape):
    low, high = torch.rand(1, 2, 4, 4), torch.rand(shape)
    with pytest.raises(ValueError, match="does not belong to a low band" if high.ndim == 5 else "must have 5 axes"):
        DWTInverse()((low, [high]))
    with pytest.raises(ValueError, match="use DWTInverse"):
        haar_inverse(low, high)


def test_bands_too_short_for_the_wavelet_are_refused():
    with pytest.raises(ValueError, match="size 2 are too short for a wavelet of 6 taps"):
        DWTInverse("db3")((torch.rand(1, 1, 2, 4), [None]))
