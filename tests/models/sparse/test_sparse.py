"""Every way to compute a sparse convolution equals the masked dense one."""

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from helpers.reference import images

import models.sparse.tiles
from benchmark.metrics import psnr
from models import WaveletVFI, default_checkpoint, waveletvfi
from models.bands import dilate
from models.sparse import METHODS, Rows, SparseConv2d, Tiles, transforms
from models.sparse.conv import WAYS, clear_outside
from models.sparse.transforms import conv_of_upsampled, pack_folded
from models.synthesis import LevelContext

CPU_METHODS = sorted(set(METHODS) - {"triton"})  # for which see test_triton.py
CPU_WAYS = sorted({*CPU_METHODS, *WAYS} - {"triton"})


def meaning(conv, x, mask, coarse=None):
    """conv(cat(x, nearest x2 of coarse)) * mask, by PyTorch alone."""
    if coarse is not None:
        x = torch.cat([x, coarse.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)], dim=1)
    return F.conv2d(x, conv.weight, conv.bias, padding=1) * mask


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 3), (8, 11)])
def test_folding_the_upsampling_into_the_kernel_changes_nothing(size):
    coarse, weight = torch.randn(2, 4, *size, dtype=torch.double), torch.randn(5, 4, 3, 3, dtype=torch.double)
    upsampled = F.interpolate(coarse, scale_factor=2, mode="nearest")
    torch.testing.assert_close(
        conv_of_upsampled(coarse, pack_folded(weight, 0)), F.conv2d(upsampled, weight, padding=1)
    )


@pytest.mark.parametrize("active", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("with_coarse", [False, True])
@pytest.mark.parametrize("method", CPU_WAYS)
def test_every_method_equals_the_masked_dense_convolution(method, with_coarse, active):
    """Several samples, odd sizes where there is no coarse input, more active pixels than one chunk."""
    conv = SparseConv2d(7, 5, coarse_channels=3 if with_coarse else 0)
    conv.method = method
    height, width = (30, 46) if with_coarse else (31, 45)
    x, mask = torch.randn(2, 7, height, width), (torch.rand(2, 1, height, width) < active).float()
    coarse = torch.randn(2, 3, height // 2, width // 2) if with_coarse else None
    with torch.no_grad():
        torch.testing.assert_close(conv(x, mask, coarse), meaning(conv, x, mask, coarse), atol=1e-5, rtol=0)


@pytest.mark.parametrize("active", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (2, 1, 4, 3), (1, 6, 1, 1), (3, 4, 1, 5)])
def test_clearing_outside_of_a_mask_is_the_product_with_it(shape, dtype, layout, active):
    image = torch.randn(shape).to(dtype).contiguous(memory_format=layout)
    mask = (torch.rand(shape[0], 1, *shape[2:]) < active).float()
    expected = image * mask.to(dtype)
    assert clear_outside(image, mask) is image
    assert torch.equal(image, expected)


@pytest.mark.parametrize("active", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("with_coarse", [False, True])
@pytest.mark.parametrize("method", sorted(set(CPU_METHODS) - {"gather"}))
def test_gradients_equal_those_of_the_masked_dense_convolution(method, with_coarse, active):
    conv = SparseConv2d(7, 5, coarse_channels=3 if with_coarse else 0).double()
    conv.method = method
    x = torch.randn(2, 7, 10, 14, dtype=torch.double, requires_grad=True)
    coarse = torch.randn(2, 3, 5, 7, dtype=torch.double, requires_grad=True) if with_coarse else None
    mask = (torch.rand(2, 1, 10, 14) < active).double()
    inputs = [t for t in (x, coarse, conv.weight, conv.bias) if t is not None]
    ours, expected = conv(x, mask, coarse), meaning(conv, x, mask, coarse)
    torch.testing.assert_close(ours, expected)
    for mine, true in zip(
        torch.autograd.grad(ours.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(mine, true)


@pytest.mark.parametrize("tiles", [1, 20, 512])
@pytest.mark.parametrize("size", [(2, 2), (6, 34), (30, 10)])
def test_the_kernel_gradient_on_tiles_is_that_of_the_convolution(size, tiles, monkeypatch):
    monkeypatch.setattr(transforms, "TILES", tiles)
    x, grad = (torch.randn(2, channels, *size, dtype=torch.double) for channels in (5, 7))
    coarse = torch.randn(2, 3, size[0] // 2, size[1] // 2, dtype=torch.double)
    conv = SparseConv2d(5, 7, coarse_channels=3).double()
    (expected,) = torch.autograd.grad(meaning(conv, x, torch.ones(1), coarse), conv.weight, grad)
    torch.testing.assert_close(transforms.kernel_gradient(x, coarse, grad), expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("fixed", [set(), {0}, {1}, {2}, {3}, {0, 1, 3}])
def test_wide_convolutions_train_on_tiles(fixed, layout, monkeypatch):
    """Only what needs a gradient has one, and it is that of the masked dense convolution."""
    calls = []
    compute = transforms.kernel_gradient
    monkeypatch.setattr(transforms, "kernel_gradient", lambda *maps: calls.append(maps) or compute(*maps))
    conv = SparseConv2d(transforms.WIDE - 40, 6, coarse_channels=40)
    inputs = [torch.randn(2, transforms.WIDE - 40, 12, 8), torch.randn(2, 40, 6, 4), conv.weight, conv.bias]
    inputs[:2] = [image.contiguous(memory_format=layout) for image in inputs[:2]]
    wanted = [tensor for i, tensor in enumerate(inputs) if tensor.requires_grad_(i not in fixed).requires_grad]
    x, coarse, *_ = inputs
    mask = (torch.rand(2, 1, 12, 8) < 0.5).float()
    ours, expected = conv(x, mask, coarse), meaning(conv, x, mask, coarse)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    pairs = zip(*(torch.autograd.grad(out.square().sum(), wanted) for out in (ours, expected)), strict=True)
    for mine, true in pairs:
        torch.testing.assert_close(mine, true, atol=1e-5 * float(true.abs().max()), rtol=0)
    assert len(calls) == (2 not in fixed)


def test_gathering_a_single_pixel_touches_no_other():
    conv = SparseConv2d(4, 6, coarse_channels=2)
    conv.method = "gather"
    x, coarse, mask = torch.randn(1, 4, 8, 8), torch.randn(1, 2, 4, 4), torch.zeros(1, 1, 8, 8)
    mask[0, 0, 7, 0] = 1
    with torch.no_grad():
        out = conv(x, mask, coarse)
    assert out.count_nonzero() == out[0, :, 7, 0].count_nonzero() == 6


@pytest.mark.parametrize("ratio", [0.0, 0.002, 0.008, 9.0])
@pytest.mark.parametrize("config", ["base", "small"])
def test_the_whole_network_is_the_same_for_every_method(config, ratio):
    model = WaveletVFI(config).eval()
    for head in model.synthesis.high_heads:
        torch.nn.init.normal_(head.weight, std=0.003)
    img0, img1 = torch.rand(2, 2, 3, 48, 80)
    outputs = {}
    for method in CPU_WAYS:
        for level in model.synthesis.levels:
            level.method = method
        assert model.sparse == method
        with torch.no_grad():
            outputs[method] = model(img0, img1, ratio=ratio).frame
    for method in CPU_WAYS:
        torch.testing.assert_close(outputs[method], outputs["masked"], atol=1e-4, rtol=0)


def test_the_method_of_the_network_is_that_of_every_convolution():
    model = WaveletVFI("small")
    model.sparse = "gather"
    assert {module.method for module in model.modules() if isinstance(module, SparseConv2d)} == {"gather"}


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match="sparse must be one of auto, folded, gather, masked, triton, got 'magic'"):
        WaveletVFI("small").sparse = "magic"


@pytest.mark.parametrize("method", ["gather", "triton"])
def test_methods_without_gradients_say_so_where_gradients_are_wanted(method):
    conv = SparseConv2d(4, 6)
    conv.method = method
    with pytest.raises(RuntimeError, match=f"sparse='{method}' has no gradients; use torch.no_grad"):
        conv(torch.randn(1, 4, 8, 8), torch.ones(1, 1, 8, 8))


@pytest.mark.parametrize("change", ["in place", "through data", "another tensor", "another dtype"])
def test_packed_weights_are_kept_until_the_weights_change(change):
    conv, x, mask = SparseConv2d(4, 6, coarse_channels=3), torch.randn(1, 4, 8, 8), torch.ones(1, 1, 8, 8)
    coarse = torch.randn(1, 3, 4, 4)
    conv.method = "gather"
    with torch.no_grad():
        conv(x, mask, coarse)
        first = dict(conv._packed)
        conv(x, mask, coarse)
        assert all(conv._packed[pack] is packed for pack, packed in first.items())
        if change == "in place":
            conv.weight[0, 0, 0, 0] += 1
        elif change == "through data":
            conv.weight.data[0, 0, 0, 0] += 1
        elif change == "another tensor":
            conv.weight = torch.nn.Parameter(torch.randn_like(conv.weight))
        else:
            conv, x, coarse = conv.double(), x.double(), coarse.double()
        torch.testing.assert_close(conv(x, mask, coarse), meaning(conv, x, mask, coarse), atol=1e-5, rtol=0)


def pixels_of(tiles):
    """(B, 1, h, w), 1 on the tiles."""
    values = torch.ones(4 * tiles.count + 1, 1)
    values[-1] = 0
    return Rows.in_tiles(tiles, values).dense()


@pytest.mark.parametrize("size", [(1, 1), (2, 6), (7, 4), (9, 11)])
@pytest.mark.parametrize("active", [0.0, 0.2, 1.0])
def test_tiles_cover_the_mask_and_know_what_they_read(size, active):
    mask = (torch.rand(2, 1, *size) < active).float()
    tiles = Tiles.covering(mask)
    covered = pixels_of(tiles)
    assert bool((covered >= mask).all())
    assert bool((tiles.surroundings() >= (dilate(covered) > 0)[:, 0]).all())
    if active == 0:
        assert tiles.count == 0


def test_the_halo_of_a_mask_of_cells_is_made_of_tiles_exactly():
    """What makes the tiles of `tiles.py` free: no pixel is computed that the formula does not want."""
    mask = F.interpolate((torch.rand(2, 1, 8, 12) < 0.2).float(), scale_factor=2, mode="nearest")
    tiles = Tiles.covering(dilate(mask))
    covered = pixels_of(tiles)
    torch.testing.assert_close(covered, dilate(mask))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (6, 1), (10, 14)])
@pytest.mark.parametrize("active", [0.0, 0.1, 1.0])
def test_context_on_tiles_equals_the_context_everywhere(size, active):
    frames, flows, merged = torch.randn(4, 5, *size), 4 * torch.randn(4, 2, *size), torch.randn(2, 5, *size)
    frames = frames.contiguous(memory_format=torch.channels_last)
    context = LevelContext(frames.chunk(2), flows.chunk(2), merged)
    tiles = Tiles.covering((torch.rand(2, 1, *size) < active).float())
    wanted = tiles.surroundings()[:, None]
    torch.testing.assert_close(context.rows(tiles).dense(), context.dense * wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("active", [0.0, 0.1, 1.0])
def test_rows_of_a_map_are_the_map(active):
    image = torch.randn(2, 3, 5, 7)
    torch.testing.assert_close(Rows.of(image).dense(), image, atol=0, rtol=0)


@pytest.mark.parametrize("ratio", [0.0, 0.004])
@pytest.mark.parametrize("config", ["base", "small"])
def test_bfloat16_decides_masks_in_float32_and_stays_above_50_db(config, ratio, known_model):
    model = known_model if config == "base" else waveletvfi(default_checkpoint())
    half = copy.deepcopy(model).bfloat16()
    img0, _, img1 = images(1, 64, 96)
    exact, rounded = (m.interpolate_details(img0, img1, ratio=ratio) for m in (model, half))
    assert rounded.frame.dtype == torch.float32
    assert all(high.dtype == torch.float32 for high in rounded.candidates[0].highs)
    assert psnr(rounded.frame, exact.frame).item() > 50


def test_bands_of_the_frame_give_the_frame_undivided(known_model, monkeypatch):
    """Level by level the synthesis runs over some tiles at a time: how many makes no difference."""
    img0, _, img1 = images(1, 64, 96)
    known_model.sparse = "gather"
    whole = known_model.interpolate_details(img0, img1, ratio=0.005)
    monkeypatch.setattr(models.sparse.tiles, "BUFFER", 1)
    monkeypatch.setattr(models.sparse.tiles, "LEAST", 7)
    divided = known_model.interpolate_details(img0, img1, ratio=0.005)
    known_model.sparse = "auto"
    torch.testing.assert_close(divided.frame, whole.frame, atol=1e-6, rtol=0)
    for ours, theirs in zip(divided.candidates[0].masks, whole.candidates[0].masks, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)


def test_autocast_computes_in_bfloat16_on_tiles_too(known_model):
    img0, _, img1 = images(1, 64, 96)
    exact = known_model.interpolate(img0, img1, ratio=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = known_model.interpolate(img0, img1, ratio=0.0)
    assert 45 < psnr(rounded, exact).item() < 90


@pytest.mark.slow
@pytest.mark.parametrize("config", ["base", "small"])
def test_4k_needs_less_than_8_gib(config):
    """Dense, the most there can be; the whole process counts, PyTorch too."""
    program = f"""
import resource, torch
from models import waveletvfi
model = waveletvfi(config={config!r})
model.interpolate(*torch.rand(2, 1, 3, 2160, 3840), ratio=0.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 * 2**20  # KiB
