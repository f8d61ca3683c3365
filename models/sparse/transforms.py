"""Two transforms of a 3x3 convolution that save products, and the gradient of the kernel.

**Folding.** `conv3x3(nearest x2 of f)` reads every value of f several times. The phase of an output pixel is the parity
of its row and column. A pixel of each of the four phases sees only a 2x2 window of f. If the kernel's taps are summed
beforehand, 4 products per output pixel and channel pair are enough instead of 9. The kernels of the four phases
together are the kernel of one transposed convolution of size 4 and stride 2.

**Winograd's transform F(2x2, 3x3).** A 2x2 tile takes 16 products per channel pair instead of 36. Along an axis, pixels
p0..p3 and taps w0, w1, w2 give upper = m0 + m1 + m2 and lower = m1 - m2 + m3, with

    m0 = w0 (p0 - p2)    m3 = w2 (p3 - p1)    m1 = (w0 + w1 + w2)/2 (p1 + p2)    m2 = (w0 - w1 + w2)/2 (p2 - p1)

A tile sees only two pixels a, b of a coarse input per axis (p = a, a, b, b), so 9 products are enough instead of 16:

    m0 = (w0 + w1 - w2)/2 (a - b)    m3 = (w0 - w1 - w2)/2 (a - b)    m1 = (w0 + w1 + w2)/2 (a + b)    m2 = 0

Both inputs share the sums at the end. Per pixel, that takes 4 C + 2.25 C' products instead of 9 (C + C'). In memory,
an axis is ordered m0, m3, m1, m2.

**The kernel's gradient** of a wide convolution is computed by Winograd's transform, too, on a CPU (`FoldedConv`). It is
a sum of products of input and output gradient over all pixels, and takes as many products as the convolution. On 2x2
tiles in the transform domain, half of the folded convolution's products are enough. Every tile is computed, so the
windows of the tiles are slices of the padded maps. A few rows of tiles are processed at a time, so that the buffers
stay in the cache.
"""

import itertools
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

Pixels = Sequence[Tensor] | Tensor
#: Factors of the taps w0, w1, w2 in m0, m3, m1, m2: for the fine input, and for the coarse one.
TAPS = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5))
TAPS_OF_UPSAMPLED = ((0.5, 0.5, -0.5), (0.5, -0.5, -0.5), (0.5, 0.5, 0.5))
# The number of input channels from which on the gradient on tiles is faster. It was measured with 192 to 1008 channels
# and AVX-512, and with 192 to 336 channels and AVX2, for which PyTorch's weight gradients of channels-last maps are
# slow.
WIDE = 190 if torch.backends.cpu.get_cpu_capability() == "AVX2" else 400
TILES = 512  # number of tiles at a time, about


def fold_upsampling(weight: Tensor) -> Tensor:
    """Convert a 3x3 kernel for the upsampled input to the 4x4 kernel of a transposed convolution for the input itself.

    Args:
        weight: (C_out, C_in, 3, 3).
    Returns:
        (C_in, C_out, 4, 4). Along an axis, the taps are (w2, w1 + w2, w0 + w1, w0).
    """
    for axis in (2, 3):
        w0, w1, w2 = weight.unbind(axis)
        weight = torch.stack([w2, w1 + w2, w0 + w1, w0], dim=axis)
    return weight.transpose(0, 1)


def pack_folded(weight: Tensor, fine_channels: int, dtype: torch.dtype | None = None) -> Tensor:
    """Fold the part of a kernel (C_out, C + C', 3, 3) that belongs to the coarse input. Differentiable.

    Args:
        weight: the kernel.
        fine_channels: C, the channels of the fine input.
        dtype: type of the result. Default: that of the kernel.
    Returns:
        (C', C_out, 4, 4), the kernel of the transposed convolution for the coarse input.
    """
    return fold_upsampling(weight[:, fine_channels:]).to(dtype or weight.dtype)


def conv_of_upsampled(coarse: Tensor, kernel: Tensor) -> Tensor:
    """Compute conv3x3(nearest x2 of `coarse`), padding 1, without bias. Differentiable.

    Args:
        coarse: (B, C', h, w).
        kernel: from `pack_folded`.
    Returns:
        (B, C_out, 2h, 2w).
    """
    return F.conv_transpose2d(coarse, kernel, stride=2, padding=1)


def transform(pixels: Pixels, out: Tensor) -> None:
    """Write the factors of m0, m3, m1, m2 that four pixels give into `out`, along the first axis."""
    torch.sub(pixels[0], pixels[2], out=out[0])
    torch.sub(pixels[3], pixels[1], out=out[1])
    torch.add(pixels[1], pixels[2], out=out[2])
    torch.sub(pixels[2], pixels[1], out=out[3])


def butterfly(pixels: Pixels, out: Tensor) -> None:
    """Write difference (for m0, m3) and sum (for m1) of two coarse pixels into `out`, along the first axis."""
    torch.sub(pixels[0], pixels[1], out=out[0])
    torch.add(pixels[0], pixels[1], out=out[1])


def spread(pixels: Pixels, out: Tensor) -> None:
    """Write the gradients of m0, m3, m1, m2, given those of upper and lower, into `out`, along the first axis."""
    out[0].copy_(pixels[0])
    out[1].copy_(pixels[1])
    torch.add(pixels[0], pixels[1], out=out[2])
    torch.sub(pixels[0], pixels[1], out=out[3])


def gradient_pays(weight: Tensor, x: Tensor) -> bool:
    """Return True if the gradient of `weight` (C_out, C, 3, 3), applied to x, is faster this way."""
    is_float32 = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    wanted = torch.is_grad_enabled() and weight.requires_grad and not torch.compiler.is_compiling()
    return wanted and is_float32 and x.device.type == "cpu" and weight.shape[1] >= WIDE


class FoldedConv(torch.autograd.Function):
    """The function conv3x3(cat(x, nearest x2 of coarse)), padding 1, of (x, coarse, weight, bias): (B, C_out, h, w)."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, coarse: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, coarse, weight)
        fine = x.shape[1]
        return F.conv2d(x, weight[:, :fine], bias, padding=1).add_(conv_of_upsampled(coarse, pack_folded(weight, fine)))

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, coarse, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        wants_x, wants_coarse, wants_weight, wants_bias = ctx.needs_input_grad  # type: ignore[attr-defined]
        fine = x.shape[1]
        return (
            F.conv_transpose2d(grad, weight[:, :fine], padding=1) if wants_x else None,
            F.conv2d(grad, pack_folded(weight, fine), stride=2, padding=1) if wants_coarse else None,
            kernel_gradient(x, coarse, grad) if wants_weight else None,
            grad.sum((0, 2, 3)) if wants_bias else None,
        )


def kernel_gradient(x: Tensor, coarse: Tensor, grad: Tensor) -> Tensor:
    """Compute the gradient of the kernel of conv3x3(cat(x, nearest x2 of coarse)), padding 1.

    Args:
        x: (B, C, h, w), h and w even.
        coarse: (B, C', h/2, w/2).
        grad: (B, C_out, h, w), gradient of the result.
    Returns:
        (C_out, C + C', 3, 3).
    """
    batch, _, height, width = x.shape
    shape = rows, columns = height // 2 + 1, width // 2 + 1  # numbers of tiles, which lie at odd positions
    step = min(max(TILES // columns, 1), rows)
    fine = _Domain(x, shape, step, transform, window=4, stride=2, places=4)
    upsampled = _Domain(coarse, shape, step, butterfly, window=2, stride=1, places=2)
    result = _Domain(grad, shape, step, spread, window=2, stride=2, places=4)
    of_fine = grad.new_zeros(4, 4, x.shape[1], grad.shape[1])
    of_upsampled = grad.new_zeros(3, 3, coarse.shape[1], grad.shape[1])
    for sample in range(batch):
        for row in range(0, rows, step):
            mine, theirs, products = (domain.read(sample, row) for domain in (fine, upsampled, result))
            for i, j in itertools.product(range(4), repeat=2):
                of_fine[i, j].addmm_(mine[i, j].t(), products[i, j])
            for i, j in itertools.product(range(3), repeat=2):  # m0 and m3 see the difference, m1 the sum
                of_upsampled[i, j].addmm_(theirs[i // 2, j // 2].t(), products[i, j])
    domains = zip((of_fine, of_upsampled), map(x.new_tensor, (TAPS, TAPS_OF_UPSAMPLED)), strict=True)
    return torch.cat([torch.einsum("ai,bj,baco->ocij", taps, taps, domain) for domain, taps in domains], dim=1)


class _Domain:
    """A map (B, C, h, w) in the transform domain, a few rows of tiles at a time.

    Args:
        image: the map.
        tiles: number of rows and columns of tiles.
        step: number of rows of tiles at a time.
        function: transforms `window` pixels into `places` values, along the first axis.
        window: pixels of a window along an axis.
        stride: pixels from one window to the next.
        places: values of a transformed window along an axis.
    """

    def __init__(
        self,
        image: Tensor,
        tiles: tuple[int, int],
        step: int,
        function: Callable[[Sequence[Tensor], Tensor], None],
        *,
        window: int,
        stride: int,
        places: int,
    ):
        (self.rows, self.columns), self.step = tiles, step
        self.function, self.window, self.stride = function, window, stride
        self.map = F.pad(image.permute(0, 2, 3, 1), (0, 0, *(window // 2,) * 4))
        _, _, width, channels = self.map.shape
        self.half = image.new_empty(places, step, width, channels)
        self.whole = image.new_empty(places, places, step, self.columns, channels)

    def read(self, sample: int, row: int) -> Tensor:
        """Return the rows of tiles from `row` on: (places along x, places along y, tiles, C).

        The next call overwrites the result.
        """
        count = min(self.step, self.rows - row)
        half, whole = self.half[:, :count], self.whole[:, :, :count]
        self.function(self._windows(self.map[sample, self.stride * row :], count), half)
        self.function(self._windows(half.movedim(2, 0), self.columns), whole.movedim(3, 1))
        return whole.flatten(2, 3)

    def _windows(self, pixels: Tensor, count: int) -> list[Tensor]:
        """Return the first pixels of `count` windows along the first axis, then the second pixels, and so on."""
        end = self.stride * (count - 1) + 1
        return [pixels[k : k + end : self.stride] for k in range(self.window)]
