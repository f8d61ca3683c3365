"""The Triton kernel computes what a sparse convolution means; checked on a GPU, and without one in the interpreter.

Skipped without a GPU. In a process started with TRITON_INTERPRET=1, as `test_triton_host.py` does, these tests run on
the CPU: triton reads the variable when it is imported, which other tests may have caused before.
"""

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models.sparse import triton_kernels
from models.sparse.triton_kernels import PackedWeights, is_available, pack_weights, triton_conv

INTERPRETED = is_available("cpu")
DEVICE = "cpu" if INTERPRETED else "cuda"
no_interpreter = pytest.mark.skipif(INTERPRETED, reason="triton is in interpreter mode")
pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def skip_without_gpu():
    if not is_available(DEVICE) or not (INTERPRETED or torch.cuda.is_available()):
        pytest.skip("needs triton and a CUDA GPU, or TRITON_INTERPRET=1")


class Case(NamedTuple):
    """The inputs of a convolution, on the CPU."""

    x: Tensor
    coarse: Tensor | None
    mask: Tensor
    weight: Tensor
    bias: Tensor


def random_case(channels=7, between=0, outputs=5, size=(9, 11), density=0.5, dtype=torch.float32) -> Case:
    """Two samples; between: the channels of the coarse input, 0 is none. Results are around 1."""
    height, width = size
    coarse = torch.randn(2, between, height // 2, width // 2).to(dtype) if between else None
    return Case(
        torch.randn(2, channels, height, width).to(dtype),
        coarse,
        (torch.rand(2, 1, height, width) < density).to(dtype),
        (torch.randn(outputs, channels + between, 3, 3) / (9 * (channels + between)) ** 0.5).to(dtype),
        torch.randn(outputs).to(dtype),
    )


def meaning(case: Case, slope: float = 1.0) -> Tensor:
    """leaky_relu(conv(cat(x, nearest x2 of coarse)) * mask) in double precision, by PyTorch alone."""
    x, coarse, mask, weight, bias = (None if t is None else t.double() for t in case)
    if coarse is not None:
        x = torch.cat([x, coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)], dim=1)
    return F.leaky_relu(F.conv2d(x, weight, bias, padding=1) * mask, slope)


def computed(case: Case, slope: float = 1.0) -> Tensor:
    x, coarse, mask, weight, bias = (None if t is None else t.to(DEVICE) for t in case)
    return triton_conv(x, coarse, mask, pack_weights(weight, x.shape[1]), bias, slope=slope).cpu()


def assert_means(result: Tensor, case: Case, slope: float = 1.0) -> None:
    torch.testing.assert_close(result.double(), meaning(case, slope), atol=1e-5, rtol=0)


@pytest.mark.parametrize("density", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize(("between", "size"), [(0, (9, 11)), (18, (10, 14))])
def test_it_equals_the_masked_dense_convolution(between, size, density):
    """A different mask for each sample, odd sizes where there is no coarse input, more pixels than one block."""
    case = random_case(between=between, size=size, density=density)
    assert case.mask.count_nonzero() > 0 or density == 0
    assert_means(computed(case), case)


@pytest.mark.parametrize(
    ("channels", "between", "outputs"), [(1, 0, 1), (16, 16, 16), (33, 2, 9), (3, 33, 17), (8, 0, 40)]
)
def test_channels_need_not_be_multiples_of_the_blocks(channels, between, outputs):
    case = random_case(channels, between, outputs, size=(4, 6))
    assert_means(computed(case), case)


@pytest.mark.parametrize("between", [0, 5])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_off_by_two_roundings_at_most(dtype, between):
    """Half a unit in the last place for the sums of weights, half a unit for the result, of the sum of magnitudes."""
    case = random_case(between=between, size=(8, 10), dtype=dtype)
    magnitudes = meaning(Case(*(None if t is None else t.abs() for t in case)))
    result = computed(case)
    assert result.dtype == dtype
    assert ((result.double() - meaning(case)).abs() <= torch.finfo(dtype).eps * magnitudes).all()


def test_a_single_pixel_of_any_phase_touches_no_other():
    case = random_case(4, 2, 6, size=(6, 8))
    for sample, (row, column) in enumerate([(5, 0), (0, 7), (2, 4), (3, 3)]):
        mask = torch.zeros_like(case.mask)
        mask[sample % 2, 0, row, column] = 1
        out = computed(case._replace(mask=mask))
        assert out.count_nonzero() == out[sample % 2, :, row, column].count_nonzero() == 6
        assert_means(out, case._replace(mask=mask))


def test_the_layout_in_memory_changes_nothing():
    case = random_case(between=4, size=(6, 8))
    expected = computed(case)
    assert expected.is_contiguous(memory_format=torch.channels_last)
    channels_last = Case(*(t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in case))
    strided = case._replace(x=torch.cat([case.x, case.x], dim=1)[:, :7], bias=case.bias.repeat_interleave(2)[::2])
    for same in (channels_last, strided, case._replace(mask=case.mask.bool())):
        assert torch.equal(computed(same), expected)


@pytest.mark.parametrize("slope", [0.0, 0.1, 1.0])
def test_the_activation_is_a_leaky_relu(slope):
    case = random_case(between=3, size=(6, 8))
    assert_means(computed(case, slope), case, slope)


def test_inference_mode_changes_nothing():
    case = random_case()
    expected = computed(case)
    with torch.inference_mode():
        assert torch.equal(computed(case), expected)


def test_trying_block_sizes_leaves_no_trace(monkeypatch):
    """Trials work on as many pixels as there are; the result knows only those of the mask."""
    import triton

    written = []

    def trial(call, quantiles):
        call()
        written.append(kernel.nargs["out"].count_nonzero().item())
        return [0.0]

    blocks = [triton.Config({"BLOCK_M": m, "BLOCK_N": 16, "BLOCK_K": 16}) for m in (16, 64)]
    tuner = triton.autotune(blocks, key=["C"], pre_hook=triton_kernels._tune, do_bench=trial)
    kernel = tuner(triton_kernels._conv_of_listed.fn)
    monkeypatch.setattr(triton_kernels, "_conv_of_listed", kernel)
    case = random_case(between=3, size=(6, 8), density=0.1)
    assert_means(computed(case), case)
    assert len(written) == 2
    assert min(written) > 5 * case.mask.sum()


def test_gradients_are_refused():
    case = random_case()
    for name in ("x", "weight", "bias"):
        wanted = case._replace(**{name: getattr(case, name).clone().requires_grad_()})
        with pytest.raises(RuntimeError, match=r"no gradients; use torch.no_grad\(\), or sparse='folded'"):
            computed(wanted)
        with torch.no_grad():
            assert_means(computed(wanted), case)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(2, 7, 6, 8, dtype=torch.half)}, "all inputs in one of .*, got coarse in torch.float32"),
        ({"coarse": torch.zeros(2, 3, 3, 4).half()}, "all inputs in one of .*, got coarse in torch.float16"),
        ({"mask": torch.zeros(2, 6, 8)}, r"mask must be \(2, 1, 6, 8\) .*, got torch.Size\(\[2, 6, 8\]\)"),
        ({"bias": torch.zeros(9)}, r"packed.fine must be \(9, 7, 16\) beside .* 9 biases"),
        ({"coarse": torch.zeros(2, 3, 6, 8)}, r"coarse must be \(2, 3, 3, 4\)"),
        ({"coarse": torch.zeros(2, 4, 3, 4)}, r"packed.coarse must be \(4, 4, 4, 8\)"),
        ({"coarse": None}, r"coarse must be \(2, 3, 3, 4\) .*, got None"),
        ({"x": torch.zeros(2, 7, 7, 8), "mask": torch.zeros(2, 1, 7, 8)}, r"x must be \(2, 7, 6, 8\)"),
    ],
)
def test_inputs_that_do_not_fit_are_named(change, message):
    case = random_case(between=3, size=(6, 8))
    packed = PackedWeights(*(t.to(DEVICE) for t in pack_weights(case.weight, 7)))
    x, coarse, mask, _, bias = (None if t is None else t.to(DEVICE) for t in case._replace(**change))
    with pytest.raises(ValueError, match=message):
        triton_conv(x, coarse, mask, packed, bias)


def test_double_precision_is_refused():
    with pytest.raises(ValueError, match=r"all inputs in one of .*, got x in torch.float64"):
        computed(random_case(dtype=torch.double))


@pytest.mark.slow
@no_interpreter
def test_the_host_never_waits_for_the_gpu():
    x, coarse, mask, weight, bias = (t.cuda() for t in random_case(between=3, size=(6, 8)))
    packed = pack_weights(weight, 7)
    first = triton_conv(x, coarse, mask, packed, bias)  # compiles and may try block sizes
    torch.cuda.set_sync_debug_mode("error")
    try:
        second = triton_conv(x, coarse, mask, packed, bias)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(first, second)


@pytest.mark.slow
@no_interpreter
def test_frames_of_more_than_2_31_values_are_addressed():
    """Only the last corner is not 0, in 2 x 4.4 GB."""
    side, corner = 5504, random_case(72, 0, 72, size=(4, 4), density=1.0, dtype=torch.float16)
    x = torch.zeros(1, side, side, 72, dtype=torch.float16, device="cuda").permute(0, 3, 1, 2)
    assert x.numel() > 2**31
    x[..., -4:, -4:] = corner.x[:1].cuda()
    mask = torch.zeros(1, 1, side, side, device="cuda")
    mask[..., -2:, -2:] = 1
    out = triton_conv(x, None, mask, pack_weights(corner.weight.cuda(), 72), corner.bias.cuda())[..., -2:, -2:]
    torch.testing.assert_close(out.cpu().double(), meaning(corner)[:1, :, -2:, -2:], atol=1e-2, rtol=0)
