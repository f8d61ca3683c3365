"""Small parts that the networks share: convolutions, warping, resizing and padding.

On a CPU and without gradients, feature maps are sampled faster than by `grid_sample`. A map that is channels last in
memory is a matrix with one row per pixel. A bilinear sample is a weighted sum of four rows, which `embedding_bag`
computes in half or a third of the time, in float32 and bfloat16.
"""

import functools
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.1  # slope of every LeakyReLU in the paper's network
MULTIPLE = 16  # height and width of frames are multiples of this, for four levels
# What torch.compile uses for a convolution and what follows it on CPUs; not public, so not taken for granted.
CONV_POINTWISE = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
DTYPES = (torch.float32, torch.bfloat16)  # of maps that are sampled by rows
LEAST_CHANNELS = 8  # with fewer channels, a row is shorter than a register, and `grid_sample` is faster


class ConvLReLU(nn.Sequential):
    """A 3x3 convolution with bias, followed by LeakyReLU(0.1).

    On a CPU and without gradients, oneDNN applies the LeakyReLU to the sums of the convolution before it writes them.
    In bfloat16 this takes a third less time. Results differ by rounding.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__(nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.LeakyReLU(SLOPE, inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C_out, H / stride, W / stride)."""
        conv = cast(nn.Conv2d, self[0])
        if not _fuses(x, conv.weight):
            return super().forward(x)
        sizes = (conv.padding, conv.stride, conv.dilation, conv.groups)
        return cast(Callable, CONV_POINTWISE)(x, conv.weight, conv.bias, *sizes, "leaky_relu", [SLOPE], "")


def _fuses(x: Tensor, weight: Tensor) -> bool:
    """Return True if oneDNN computes the convolution and the LeakyReLU in one, and nobody needs them apart."""
    is_plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
    if is_plain or x.device.type != "cpu" or not is_channels_last(x):
        return False
    return CONV_POINTWISE is not None and x.dtype == weight.dtype and x.dtype in onednn_dtypes()


@functools.cache
def onednn_dtypes() -> tuple[torch.dtype, ...]:
    """Return the types that oneDNN computes on this CPU. Return none if PyTorch was built without oneDNN."""
    if not torch.backends.mkldnn.is_available():
        return ()
    return (torch.float32, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample `image` where `flow` points: out(x, y) = image(x + dx, y + dy), bilinear.

    Args:
        image: (B, C, H, W), any range.
        flow: (B, 2, H, W), channels (dx, dy), in pixels of this resolution.
    Returns:
        (B, C, H, W). Positions outside the image repeat the border; corners are pixel centres (align_corners=True).
    """
    flow = flow.float()
    batch, channels, height, width = image.shape
    if rows_pay(image):
        rows = weighted_rows(image, *corners(flow))
        return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)  # channels last in memory
    x = torch.arange(width, device=flow.device, dtype=flow.dtype)
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    positions = [
        (x + flow[:, 0]) * (2 / max(width - 1, 1)) - 1,
        (y + flow[:, 1]) * (2 / max(height - 1, 1)) - 1,
    ]
    # Joining them as real and imaginary parts takes a fifth of the time of `stack`.
    is_plain = torch.is_grad_enabled() or torch.compiler.is_compiling()
    grid = torch.stack(positions, dim=-1) if is_plain else torch.view_as_real(torch.complex(*positions))
    # Positions need float32: half precision would round them to whole pixels or more.
    sampled = F.grid_sample(image.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled.to(image.dtype)


def rows_pay(image: Tensor) -> bool:
    """Return True if sums of rows are faster than `grid_sample` for (B, C, H, W), and no gradients are recorded."""
    is_plain = torch.is_grad_enabled() or torch.compiler.is_compiling() or image.device.type != "cpu"
    if is_plain or image.dtype not in DTYPES or image.shape[1] < LEAST_CHANNELS:
        return False
    return image.is_contiguous(memory_format=torch.channels_last)


def as_rows(image: Tensor) -> Tensor:
    """Return (B, C, h, w) as rows (B * h * w, C); a view if the image is channels last in memory."""
    return image.permute(0, 2, 3, 1).reshape(-1, image.shape[1])


def corners(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return the four neighbours of every position that a flow points to, and their weights.

    Args:
        flow: (B, 2, h, w), channels (dx, dy), in pixels.
    Returns:
        rows: (B * h * w, 4) int32, row numbers of the neighbours, see `as_rows`.
        weights: (B * h * w, 4) float32, which sum to 1.
    """
    batch, _, height, width = flow.shape
    x = torch.arange(width, device=flow.device, dtype=torch.float32)
    y = torch.arange(height, device=flow.device, dtype=torch.float32)[:, None]
    x = (flow[:, 0] + x).clamp_(0, width - 1).nan_to_num_(0)  # a row number cannot be NaN
    y = (flow[:, 1] + y).clamp_(0, height - 1).nan_to_num_(0)
    # On the last row and column, the base is one pixel further inside, so that all four neighbours exist.
    left, top = x.floor().clamp_(max=max(width - 2, 0)), y.floor().clamp_(max=max(height - 2, 0))
    x, y = x.sub_(left), y.sub_(top)
    sample = torch.arange(batch, device=flow.device, dtype=torch.int32).view(-1, 1, 1)
    first = top.int().add_(sample * height).mul_(width).add_(left.int())
    right, down = min(1, width - 1), width * min(1, height - 1)
    rows, weights = first.new_empty(*first.shape, 4), x.new_empty(*x.shape, 4)
    for corner, step in enumerate((0, right, down, down + right)):
        torch.add(first, step, out=rows[..., corner])
    both = torch.mul(x, y, out=weights[..., 3])
    torch.sub(y, both, out=weights[..., 2])
    torch.sub(x, both, out=weights[..., 1])
    torch.sub(1 - x, weights[..., 2], out=weights[..., 0])
    return rows.view(-1, 4), weights.view(-1, 4)


def weighted_rows(image: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Return (n, C): sums of four `rows` (n, 4) of an image (B, C, h, w), weighted by `weights` (n, 4)."""
    return F.embedding_bag(rows, as_rows(image), per_sample_weights=weights.to(image.dtype), mode="sum")


def blend(img0: Tensor, img1: Tensor, flow_t0: Tensor, flow_t1: Tensor, occlusion: Tensor) -> Tensor:
    """Return the merged frame: occlusion * warp(img0, flow_t0) + (1 - occlusion) * warp(img1, flow_t1).

    Args:
        img0, img1: (B, 3, H, W).
        flow_t0, flow_t1: (B, 2, H, W) in pixels.
        occlusion: (B, 1, H, W) in [0, 1].
    Returns:
        (B, 3, H, W).
    """
    # The usual memory layout (not channels last) suits the wavelet transform that follows.
    warped0, warped1 = (backward_warp(image.contiguous(), flow) for image, flow in ((img0, flow_t0), (img1, flow_t1)))
    return torch.lerp(warped1, warped0, occlusion)


def channels_last(image: Tensor) -> Tensor:
    """Return (B, C, H, W), channels last in memory and by its strides, which PyTorch chooses its kernels by.

    For a batch of one, `contiguous` alone may keep ambiguous strides, such as those of decoded pictures.
    """
    image = image.contiguous(memory_format=torch.channels_last)
    return image if image.stride(0) == image[0].numel() else image.clone(memory_format=torch.channels_last)


def concatenate(parts: list[Tensor], like: Tensor) -> Tensor:
    """Concatenate parts (B, C_i, H, W) to (B, sum of C_i, H, W), in the dtype and memory format of `like`."""
    is_last = is_channels_last(like)
    if not is_last or torch.is_grad_enabled():
        whole = torch.cat([part.to(like.dtype) for part in parts], dim=1)
        return whole.contiguous(memory_format=torch.channels_last) if is_last else whole
    # Each part is copied once, in a layout that parts have. `cat` and `contiguous` take up to three times as long.
    layout = torch.channels_last if any(map(is_channels_last, parts)) else torch.contiguous_format
    channels = [part.shape[1] for part in parts]
    shape = (parts[0].shape[0], sum(channels), *parts[0].shape[-2:])
    whole = torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)
    for place, part in zip(whole.split(channels, dim=1), parts, strict=True):
        place.copy_(part)
    return whole.contiguous(memory_format=torch.channels_last)


def is_channels_last(image: Tensor) -> bool:
    """Return True if (B, C, H, W) is channels last in memory, and not contiguous in the usual order as well."""
    return image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous()


def halves(pair: Tensor) -> tuple[Tensor, ...]:
    """Split (2B, ...), which was stacked for both frames, into two (B, ...).

    `chunk` would do the same, but fix B in an exported graph.
    """
    return pair.unflatten(0, (2, -1)).unbind()


def halve_flow(flow: Tensor) -> Tensor:
    """Resize a flow (B, 2, H, W) in pixels to (B, 2, H/2, W/2) in pixels of the new size."""
    return mean_of_squares(flow) * 0.5  # equals bilinear resizing by 0.5 with align_corners=False


def mean_of_squares(image: Tensor) -> Tensor:
    """Average each 2x2 square of pixels: (B, C, H, W) with even H and W -> (B, C, H/2, W/2)."""
    if image.device.type != "cpu" or torch.compiler.is_exporting():
        return F.avg_pool2d(image, 2)
    pairs = image[..., ::2, :] + image[..., 1::2, :]  # on a CPU, this is ten times as fast as pooling
    return (pairs[..., ::2] + pairs[..., 1::2]) * 0.25


class Pyramid:
    """An image (B, C, H, W) and its means over squares of 2, 4, 8, ... pixels. Each is computed once, when needed."""

    def __init__(self, image: Tensor):
        self._sizes = [image]

    def at(self, factor: int) -> Tensor:
        """Return (B, C, H / factor, W / factor). `factor` is a power of 2 that divides both sizes."""
        while len(self._sizes) < factor.bit_length():
            self._sizes.append(mean_of_squares(self._sizes[-1]))
        return self._sizes[factor.bit_length() - 1]


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the right and bottom border of (B, C, H, W) until both sizes are multiples of `multiple`."""
    if torch.compiler.is_exporting():
        return _pad_by_index(image, multiple)
    for axis in (2, 3):  # `F.pad` would copy an image that needs no padding, and takes three times as long
        size = image.shape[axis]
        if missing := -size % multiple:
            last = image.narrow(axis, size - 1, 1)
            image = torch.cat([image, last.repeat_interleave(missing, axis)], dim=axis)
    return image


def _pad_by_index(image: Tensor, multiple: int) -> Tensor:
    """Do the same as `pad_to_multiple` by indexing, so that torch.export sees that the sizes are multiples."""
    for axis in (2, 3):
        size = image.shape[axis]
        index = torch.arange((size + multiple - 1) // multiple * multiple, device=image.device)
        image = image.index_select(axis, index.clamp(max=size - 1))
    return image
