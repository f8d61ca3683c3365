"""What surrounds the Triton kernel, and that it compiles; what it computes is in `test_triton.py`, run here too."""

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.sparse import triton_kernels
from models.sparse.transforms import fold_upsampling
from models.sparse.triton_kernels import DTYPES, is_available, pack_weights, triton_conv

HAS_TRITON = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="triton is not installed")
needs_compiler = pytest.mark.skipif(
    not HAS_TRITON or is_available("cpu"), reason="triton is absent or in interpreter mode"
)


@needs_triton
def test_the_kernel_is_right_in_the_interpreter():
    selection = ["test_triton.py", "-m", "not slow", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *selection],
        cwd=Path(__file__).parent,
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "skipped" not in run.stdout, run.stdout


@pytest.mark.parametrize("outputs", [5, 8])
def test_packed_weights_are_the_taps_of_the_folded_kernel(outputs):
    weight = torch.randn(outputs, 7 + 3, 3, 3)
    fine, coarse = pack_weights(weight, 7)
    assert fine.shape == (9, 7, 8)
    assert coarse.shape == (4, 4, 3, 8)
    for row, column in itertools.product(range(3), repeat=2):
        assert torch.equal(fine[3 * row + column, :, :outputs], weight[:, :7, row, column].T)
    folded = fold_upsampling(weight[:, 7:])
    for down, right, row, column in itertools.product(range(2), repeat=4):
        tap = folded[:, :, 3 - down - 2 * row, 3 - right - 2 * column]
        torch.testing.assert_close(coarse[2 * down + right, 2 * row + column, :, :outputs], tap)
    assert fine[..., outputs:].count_nonzero() == coarse[..., outputs:].count_nonzero() == 0
    assert pack_weights(weight, 10).coarse is None


@pytest.mark.parametrize("step", [1, 2])
def test_the_list_holds_the_active_pixels_phase_by_phase(step):
    mask = (torch.rand(2, 1, 6, 10) < 0.4).float()
    listed, starts = triton_kernels._list_pixels(mask, step)
    assert torch.equal(starts[0], starts[1])
    for phase, (down, right) in enumerate(itertools.product(range(step), repeat=2)):
        begin, end = starts[0, phase : phase + 2].tolist()
        expected = mask[:, 0, down::step, right::step].flatten().nonzero()[:, 0]
        assert listed[begin:end].tolist() == expected.tolist()
    assert end == mask.sum()
    assert torch.bincount(listed).tolist() == [step**2] * (mask.numel() // step**2)


def test_listing_needs_no_value_on_the_host():
    """Tensors on the meta device have none: whatever asked for one would fail."""
    listed, starts = triton_kernels._list_pixels(torch.empty(2, 1, 6, 10, device="meta"), 2)
    assert (listed.shape, starts.shape) == ((120,), (2, 5))


@needs_compiler
def test_without_a_gpu_the_way_out_is_named():
    assert is_available("cuda")
    assert not is_available("cpu")
    x = torch.zeros(1, 7, 4, 4)
    with pytest.raises(RuntimeError, match="the triton kernel needs a CUDA GPU, got cpu; use sparse='auto'"):
        triton_conv(x, None, x[:, :1], pack_weights(torch.zeros(5, 7, 3, 3), 7), torch.zeros(5))


def test_triton_is_only_needed_for_the_kernel(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)  # as if it were not installed
    spec = importlib.util.spec_from_file_location("models.sparse.without_triton", triton_kernels.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert not module.is_available("cuda")
    x = torch.zeros(1, 7, 4, 4)
    with pytest.raises(RuntimeError, match="the triton kernel needs triton, which is not installed; use sparse='auto'"):
        module.triton_conv(x, None, x[:, :1], module.pack_weights(torch.zeros(5, 7, 3, 3), 7), torch.zeros(5))


@needs_compiler
@pytest.mark.parametrize(("dtype", "between"), [*zip(DTYPES, (18, 0, 18), strict=True)])
def test_it_compiles_for_a_gpu_that_is_not_there(dtype, between, tmp_path, monkeypatch):
    import triton
    from triton.backends.compiler import GPUTarget

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = triton_kernels._conv_of_listed.fn
    constants = {"STEP": 2 if between else 1, "C": 24, "C_COARSE": between, "C_OUT": 9, "PRECISION": "ieee"}
    constants |= {"BLOCK_M": 64, "BLOCK_N": 16, "BLOCK_K": 32}
    constants |= {} if between else {"coarse": None, "coarse_matrices": None}
    pointer = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}[dtype]
    types = {"listed": "*i32", "starts": "*i32", "height": "i32", "width": "i32", "slope": "fp32"}
    types |= dict.fromkeys(constants, "constexpr")
    signature = {name: types.get(name, pointer) for name in kernel.arg_names}
    try:
        compiled = triton.compile(
            triton.compiler.ASTSource(kernel, signature, constants), target=GPUTarget("cuda", 90, 32)
        )
    except RuntimeError as error:
        if "ptxas" not in str(error):
            raise
        pytest.skip(f"no assembler: {error}")
    assert compiled.asm["cubin"]
    assert ("wgmma" in compiled.asm["ptx"]) == (dtype != torch.float32)  # the tensor cores
