"""Compute a sparse convolution on the active pixels alone, on a GPU: an implicit matrix product in one Triton kernel.

The kernel gathers the inputs of the active pixels itself, so that only the result is written to memory. The list of the
active pixels and their number stay on the device, so the host never waits for the mask. The coarse input is folded as
in `transforms.py`. Pixels are listed per phase (the parities of row and column), because the phase chooses the weights.
"""

from __future__ import annotations  # without triton, `tl.constexpr` must not be evaluated

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .transforms import fold_upsampling

try:
    import triton
    import triton.language as tl
except ImportError:  # some platforms do not have it
    triton = tl = None

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
#: Block sizes that are tried on a GPU: pixels, output channels and input channels; warps; stages of the pipeline.
BLOCKS = (
    (64, 16, 32, 4, 4), (128, 16, 64, 4, 3), (64, 32, 32, 4, 4), (128, 32, 64, 4, 3),
    (64, 64, 32, 4, 4), (128, 64, 32, 4, 4), (128, 64, 64, 4, 3), (128, 128, 32, 8, 4),
    (128, 128, 64, 8, 3), (128, 256, 32, 8, 4), (128, 256, 64, 8, 3),
)  # fmt: skip


class PackedWeights(NamedTuple):
    """The weights of a convolution in the layout of the kernel: one (C_in, N) matrix per tap.

    fine: (9, C, N), taps row by row. N is C_out rounded up to a multiple of 8, for reads of 16 bytes.
    coarse: (4, 4, C', N) or None. For each phase (row % 2, column % 2) = 00, 01, 10, 11, it holds the taps of the 2x2
        window that such a pixel sees of the coarse input, row by row.
    """

    fine: Tensor
    coarse: Tensor | None


def pack_weights(weight: Tensor, fine_channels: int, dtype: torch.dtype | None = None) -> PackedWeights:
    """Arrange a kernel (C_out, C + C', 3, 3) for `triton_conv`. Arguments: those of `transforms.pack_folded`.

    Keep the result as long as the weights do not change.
    """
    weight, dtype = F.pad(weight, (0,) * 7 + (-len(weight) % 8,)), dtype or weight.dtype
    fine = weight[:, :fine_channels].permute(2, 3, 1, 0).flatten(0, 1).contiguous().to(dtype)
    if weight.shape[1] == fine_channels:
        return PackedWeights(fine, None)
    # Along an axis (w0, w0 + w1, w1 + w2, w2): even pixels use the 1st and 3rd of them, odd ones the 2nd and 4th.
    folded = fold_upsampling(weight[:, fine_channels:].float()).to(dtype).flip(2, 3)
    split = folded.unflatten(3, (2, 2)).unflatten(2, (2, 2))  # (C', N, row tap, row % 2, column tap, column % 2)
    return PackedWeights(fine, split.permute(3, 5, 2, 4, 0, 1).flatten(0, 1).flatten(1, 2).contiguous())


def is_available(device: torch.device | str) -> bool:
    """Return True if triton is installed and the device is CUDA, or Triton's interpreter is on (TRITON_INTERPRET=1)."""
    return triton is not None and (torch.device(device).type == "cuda" or _is_interpreted())


def triton_conv(
    x: Tensor, coarse: Tensor | None, mask: Tensor, packed: PackedWeights, bias: Tensor, *, slope: float = 1.0
) -> Tensor:
    """Compute leaky_relu(conv3x3(cat(x, nearest x2 of coarse)) * mask, slope) where mask is 1. Not differentiable.

    Sums are float32 and are rounded once, after the activation. The first call for given channels and dtype tries
    several block sizes, which takes seconds.

    Args:
        x: (B, C, H, W), float32, float16 or bfloat16; copied if it is not channels last in memory.
        coarse: (B, C', H/2, W/2), or None.
        mask: (B, 1, H, W) in {0, 1}.
        packed: from `pack_weights`, in the dtype of x.
        bias: (C_out,).
        slope: slope of the LeakyReLU; 1: no activation.
    Returns:
        (B, C_out, H, W), channels last in memory, exactly 0 where mask is 0.
    Raises:
        RuntimeError: the kernel cannot run on this device, or gradients are recorded.
        ValueError: types or shapes that do not fit.
    """
    _check(x, coarse, mask, packed, bias)
    if _is_interpreted() and x.dtype == torch.bfloat16:  # its tl.dot multiplies bits (triton-lang/triton#11584)
        x, coarse, *wide = (None if t is None else t.float() for t in (x, coarse, *packed))
        return triton_conv(x, coarse, mask, PackedWeights(*wide), bias, slope=slope).bfloat16()
    x, coarse = (None if t is None else t.contiguous(memory_format=torch.channels_last) for t in (x, coarse))
    batch, channels, height, width = x.shape
    between, step = (0, 1) if coarse is None else (coarse.shape[1], 2)
    constants = {"STEP": step, "C": channels, "C_COARSE": between, "C_OUT": len(bias)}
    with_tf32 = x.dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32
    out = x.new_zeros(batch, height, width, len(bias))
    listed, starts = _list_pixels(mask, step)
    with torch.cuda.device_of(x):
        _conv_of_listed[functools.partial(_grid, len(listed))](
            *(x, coarse, *packed, bias.contiguous(), out, listed, starts, height // step, width // step, float(slope)),
            **(constants | {"PRECISION": "tf32" if with_tf32 else "ieee"}),
        )
    return out.permute(0, 3, 1, 2)


def _check(x: Tensor, coarse: Tensor | None, mask: Tensor, packed: PackedWeights, bias: Tensor) -> None:
    if not is_available(x.device):
        needed = "triton, which is not installed" if triton is None else f"a CUDA GPU, got {x.device}"
        raise RuntimeError(f"the triton kernel needs {needed}; use sparse='auto'")
    tensors = {"x": x, "coarse": coarse, "packed.fine": packed.fine, "packed.coarse": packed.coarse}
    for name, tensor in tensors.items():
        if tensor is not None and (x.dtype not in DTYPES or tensor.dtype != x.dtype):
            raise ValueError(f"the triton kernel needs all inputs in one of {DTYPES}, got {name} in {tensor.dtype}")
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (*tensors.values(), bias)):
        raise RuntimeError("the triton kernel has no gradients; use torch.no_grad(), or sparse='folded' to train")
    batch, channels, height, width = x.shape
    padded = len(bias) + -len(bias) % 8
    shapes = {"mask": (batch, 1, height, width), "packed.fine": (9, channels, padded)}
    if coarse is not None or packed.coarse is not None:
        between = packed.coarse.shape[2] if coarse is None else coarse.shape[1]
        shapes |= {"coarse": (batch, between, height // 2, width // 2), "packed.coarse": (4, 4, between, padded)}
        shapes |= {"x": (batch, channels, height // 2 * 2, width // 2 * 2)}
    for name, shape in shapes.items():
        given = getattr((tensors | {"mask": mask})[name], "shape", None)
        if given != shape:
            raise ValueError(f"{name} must be {shape} beside x {tuple(x.shape)} and {len(bias)} biases, got {given}")


def _list_pixels(mask: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """List the active pixels, phase by phase. The host does not learn their number.

    Args:
        mask: (B, 1, H, W).
        step: 2 for four phases, 1 for a single one.
    Returns:
        listed: (B * H * W,) int32, index of each active pixel among the pixels of its phase, in increasing order. The
            inactive pixels follow, which the kernel does not read.
        starts: (2, step**2 + 1) int32, the places in the list at which the phases begin and the last one ends. There
            are two copies, see `_tune`.
    """
    height, width = mask.shape[-2:]
    by_phase = mask.reshape(-1, height // step, step, width // step, step).permute(2, 4, 0, 1, 3)
    active = by_phase.flatten() != 0
    entry, of_phase = torch.arange(len(active), device=mask.device), len(active) // step**2
    rank = active.cumsum(0)
    # Inactive pixels are written from the end, so that every place is written once.
    place = torch.where(active, rank - 1, len(active) - 1 - entry + rank)
    listed = torch.empty_like(entry, dtype=torch.int32).scatter_(0, place, (entry % of_phase).int())
    starts = F.pad(rank.view(step**2, of_phase)[:, -1], (1, 0)).int()
    return listed, starts.repeat(2, 1)


def _grid(pixels: int, meta: dict) -> tuple[int]:
    """Return the number of programs: one per block of all pixels, because the host does not know which are active."""
    phases = meta["STEP"] ** 2
    return (triton.cdiv(pixels // phases, meta["BLOCK_M"]) * phases * triton.cdiv(meta["C_OUT"], meta["BLOCK_N"]),)


def _is_interpreted() -> bool:
    """Return True if triton was in interpreter mode when this module was imported."""
    return triton is not None and not isinstance(_conv_of_listed.fn, triton.runtime.JITFunction)


def _promising(configs: list, tensors: dict, **constants) -> list:
    """Return the blocks that are worth a trial: about as wide as the output. Full float32 needs small ones."""
    width = max(16, triton.next_power_of_2(constants["C_OUT"]))
    if tensors["x"].dtype == torch.float32 and constants["PRECISION"] == "ieee":
        return [c for c in configs if c.kwargs["BLOCK_N"] == min(64, width) and c.kwargs["BLOCK_M"] == 64]
    return [c for c in configs if min(64, width) <= c.kwargs["BLOCK_N"] <= width]


def _tune(arguments: dict, reset_only: bool = False) -> None:
    """Make all pixels active before a block size is tried. With `reset_only`, restore the arguments after trials."""
    starts, phases = arguments["starts"], arguments["STEP"] ** 2
    everywhere = torch.arange(phases + 1, device=starts.device) * (len(arguments["listed"]) // phases)
    starts[0] = starts[1] if reset_only else everywhere
    if reset_only:
        arguments["out"].zero_()


def _jit(function):
    return function if triton is None else triton.jit(function)


def _autotune(function):
    """Try BLOCKS once per channels, dtypes and precision. The best is kept on disk beside the compiled kernels."""
    if triton is None:
        return function
    kernel = triton.jit(function)
    blocks = BLOCKS if isinstance(kernel, triton.runtime.JITFunction) else ((32, 16, 16, 1, 1),)
    return triton.autotune(
        [triton.Config({"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k}, *rest) for m, n, k, *rest in blocks],
        key=["STEP", "C", "C_COARSE", "C_OUT", "PRECISION"],
        prune_configs_by={"early_config_prune": _promising},
        pre_hook=_tune,
        cache_results=True,
    )(kernel)


@_jit
def _add_taps(
    total, image, matrices, sample, top, left, channel, height, width,
    SIDE: tl.constexpr, C: tl.constexpr, C_OUT: tl.constexpr, BLOCK_K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return total (M, N) plus the products of SIDE x SIDE windows of the image with one matrix per tap.

    Args:
        image: (B, height, width, C) in memory.
        matrices: (SIDE * SIDE, C, N) as in `PackedWeights`.
        top, left: (M,) places of the windows, which may extend beyond the border.
        channel: (N,) output channels.
    """
    N: tl.constexpr = (C_OUT + 7) // 8 * 8
    blocks: tl.constexpr = (C + BLOCK_K - 1) // BLOCK_K
    origin = image + ((sample * height + top) * width + left).to(tl.int64) * C  # exceeds 2^31 in large frames
    # One loop over taps and channels lets the next loads run while these values are multiplied.
    for turn in range(SIDE * SIDE * blocks):
        tap, between = turn // blocks, turn % blocks * BLOCK_K + tl.arange(0, BLOCK_K)
        down, right = tap // SIDE, tap % SIDE
        row, column = top + down, left + right
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        values = origin[:, None] + ((down * width + right) * C + between)[None, :]
        values = tl.load(values, mask=inside[:, None] & (between < C)[None, :], other=0.0)
        matrix = matrices + (tap * C + between)[:, None] * N + channel[None, :]
        matrix = tl.load(matrix, mask=(between < C)[:, None] & (channel < N)[None, :], other=0.0)
        total = tl.dot(values, matrix, total, input_precision=PRECISION)
    return total


@_autotune
def _conv_of_listed(
    x, coarse, fine_matrices, coarse_matrices, bias, out, listed, starts, height, width, slope,
    STEP: tl.constexpr, C: tl.constexpr, C_COARSE: tl.constexpr, C_OUT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Compute a block of output channels for a block of listed pixels of one phase.

    `height` and `width` are those of the phase's pixels.
    """
    # Neighbouring programs read the same pixels, for other output channels or for other phases of the same place.
    blocks: tl.constexpr = (C_OUT + BLOCK_N - 1) // BLOCK_N
    program = tl.program_id(0)
    channel = program % blocks * BLOCK_N + tl.arange(0, BLOCK_N)
    phase = program // blocks % (STEP * STEP)
    first = tl.load(starts + phase) + program // (blocks * STEP * STEP) * BLOCK_M
    end = tl.load(starts + phase + 1)
    if first >= end:
        return
    entry = first + tl.arange(0, BLOCK_M)
    index = tl.load(listed + tl.minimum(entry, end - 1))
    sample, top, left = index // (height * width), index // width % height, index % width
    down, right = phase // STEP, phase % STEP
    row, column = top * STEP + down, left * STEP + right
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    total += tl.load(bias + channel, mask=channel < C_OUT, other=0.0).to(tl.float32)[None, :]
    total = _add_taps(
        total, x, fine_matrices, sample, row - 1, column - 1, channel,
        height * STEP, width * STEP, 3, C, C_OUT, BLOCK_K, PRECISION,
    )  # fmt: skip
    if STEP == 2:
        total = _add_taps(
            total, coarse, coarse_matrices + phase * 4 * C_COARSE * ((C_OUT + 7) // 8 * 8),
            sample, top + down - 1, left + right - 1, channel, height, width, 2, C_COARSE, C_OUT, BLOCK_K, PRECISION,
        )  # fmt: skip
    total = tl.where(total >= 0, total, total * slope)
    pixel = (sample * height * STEP + row) * (width * STEP) + column
    place = out + pixel.to(tl.int64)[:, None] * C_OUT + channel[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=(entry < end)[:, None] & (channel < C_OUT)[None, :])
