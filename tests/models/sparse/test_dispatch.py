"""Which way a sparse level takes: by the table, it never takes longer because there is less to do."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from benchmark.measure import parts
from models import find_config
from models.bands import dilate
from models.sparse import Rows, SparseConv2d, costs, sparse_level
from models.sparse.conv import choose
from models.synthesis import SPARSE_LEVELS, LevelContext, WaveletSynthesisNet

KINDS = [*costs.MEASURED, *dict.fromkeys(kind for kind, _ in costs.LIKE), "DEFAULT", "a new one"]
DTYPES = (torch.float32, torch.bfloat16, torch.float64)
WIDTHS = (5, 32, 50, 64, 72, 96, 144, 216, 432, 648, 1000)
STEPS = [step / 50 for step in range(51)]  # densities
CASES = [*itertools.product(KINDS, DTYPES, WIDTHS)]


def mask_of(density):
    """100 pixels, so many of them active."""
    return (torch.arange(100) < round(100 * density)).float().view(1, 1, 10, 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_estimated_time_never_rises_as_density_falls(kind, dtype):
    for width in WIDTHS:
        times = [costs.estimate(density, dtype, width, kind) for density in STEPS]
        assert times == sorted(times) and times[-1] <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("synthesis", [(32, 64, 96, 96), (72, 144, 216, 192), (216, 432, 648, 576)])
def test_the_estimated_time_of_all_levels_never_rises_as_cost_falls(kind, synthesis):
    """Levels weigh by their products; their densities shrink together."""
    net = WaveletSynthesisNet((48, 96, 144, 192), synthesis, correction=True)
    weights = {level: net.convolutions(level)[0].products("folded") * 4.0**-level for level in SPARSE_LEVELS}
    for dtype in DTYPES:
        times = [
            sum(share * costs.estimate(density, dtype, synthesis[level - 1], kind) for level, share in weights.items())
            for density in STEPS
        ]
        assert times == sorted(times)


@pytest.mark.parametrize("kind", KINDS)
def test_auto_folds_exactly_where_gathering_is_not_estimated_to_win(kind, monkeypatch):
    monkeypatch.setattr("models.sparse.conv.processor", lambda: kind)
    with torch.no_grad():
        for dtype, width, density in itertools.product(DTYPES, WIDTHS, (0.0, 0.1, 0.3, 0.6, 1.0)):
            mask = mask_of(density)
            time, way = costs.gathering(mask.mean().item(), dtype, width, kind)
            assert choose("auto", mask, dtype, width) == ("folded" if time >= 1 else way)
            assert choose("gather", mask, dtype, width) == way


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_unknown_processor_gathers_less_than_every_measured_one(dtype):
    for known, width, density in itertools.product(costs.MEASURED, WIDTHS, STEPS):
        safe, measured = (costs.gathering(density, dtype, width, kind)[0] for kind in ("a new one", known))
        assert safe >= measured


def test_narrow_levels_that_are_full_are_folded_and_empty_ones_are_not():
    for kind, dtype, width in CASES:
        assert costs.gathering(0.0, dtype, width, kind)[0] < 1
        is_emulated = (kind, dtype) == ("AVX2", torch.bfloat16)  # so slowly that every way on tiles is faster
        assert width > 100 or is_emulated or costs.estimate(1.0, dtype, width, kind) == 1


@pytest.mark.parametrize(
    ("capability", "features", "kind"),
    [
        ("AVX2", {"amx_tile"}, "AVX2"),
        ("AVX512", set(), "AVX-512"),
        ("AVX512", {"avx512_bf16"}, "AVX-512 bf16"),
        ("AVX512", {"avx512_bf16", "amx_tile"}, "AMX"),
        ("DEFAULT", set(), "DEFAULT"),
    ],
)
def test_processors_are_told_by_what_they_can_do(capability, features, kind, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    for feature in ("amx_tile", "avx512_bf16"):
        monkeypatch.setattr(torch.cpu, f"_is_{feature}_supported", lambda feature=feature: feature in features)
    assert costs.processor.__wrapped__() == kind


def test_a_pytorch_that_cannot_tell_has_no_such_feature(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert not costs._has("amx_tile")


@pytest.mark.parametrize("way", ["folded", "windows", "winograd"])
def test_a_level_and_its_convolution_alone_are_decided_in_one_place(way, monkeypatch):
    asked = []
    monkeypatch.setattr(SparseConv2d, "way", lambda conv, mask, dtype: asked.append(mask) or way)
    conv, head = SparseConv2d(6, 8, coarse_channels=4), SparseConv2d(8, 9)
    features, flows = torch.randn(3, 1, 2, 8, 12), torch.zeros(2, 1, 2, 8, 12)
    coarse, mask = torch.randn(1, 4, 4, 6), F.interpolate(torch.eye(4, 6)[None, None], scale_factor=2)
    halo = dilate(mask)
    with torch.no_grad():
        context = LevelContext([*features[:2]], [*flows], features[2])
        made = sparse_level(conv, head, context, coarse, mask, halo, slope=0.1, keep=True)
        alone = F.leaky_relu(conv(context.dense, halo, coarse), 0.1)
    kept = made.features.dense() if isinstance(made.features, Rows) else made.features
    assert all(each is halo for each in asked) and len(asked) == 2
    torch.testing.assert_close(kept, alone, atol=1e-5, rtol=0)


def test_a_measured_line_is_found_again():
    line = [(x, 0.1 + 1.5 * x) for x in (0.05, 0.2, 0.6, 1.0)]
    assert parts.fit(line) == (0.1, 1.5)
    start, slope = parts.fit([(0.1, 0.01), (1.0, 1.0)])
    assert start == 0.0 and slope > 0.5


def test_tuning_prints_rows_as_the_table_has_them(monkeypatch, capsys):
    shape = parts.Shape(6, 4, 32, 16, 24)
    monkeypatch.setattr(parts, "shapes", lambda: [shape])
    threads = torch.get_num_threads()
    try:
        parts.tune(repeats=1)
    finally:
        torch.set_num_threads(threads)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"# {costs.processor()}, one thread, PyTorch {torch.__version__}")
    table = eval("{" + "".join(lines) + "}", {"torch": torch, "Row": costs.Row})
    assert [*table] == [torch.float32, torch.bfloat16]
    assert all([row.width for row in rows] == [32] for rows in table.values())


def test_every_shipped_width_is_tuned_or_takes_a_row_that_is_little_narrower():
    """The next narrower row is on the safe side, see `gathering`."""
    shipped = {width for name in ("small", "base") for width in find_config(name).synthesis[:3]}
    assert {shape.width for shape in parts.shapes()} >= shipped  # what --tune measures
    for rows in (rows for table in costs.MEASURED.values() for rows in table.values()):
        tuned = [row.width for row in rows]
        assert tuned == sorted(tuned)
        for width in shipped:
            assert any(0.8 * width < row <= width for row in tuned), width


@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
def test_masks_to_tune_by_are_about_as_dense_as_asked_for(density):
    mask = parts.random_mask(parts.Shape(6, 4, 32, 96, 160), density)
    assert mask.mean().item() == pytest.approx(density, abs=0.01) and mask.shape == (1, 1, 96, 160)
