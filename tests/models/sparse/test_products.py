"""Products with laid-out matrices against the plain formula."""

import copy
import pickle

import pytest
import torch

from models.sparse import SparseConv2d, tiles
from models.sparse.tiles import lay_out, product


@pytest.fixture(params=["onednn", "plain"])
def layout(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(tiles, "_has_layout", lambda matrix: False)
    elif not torch.backends.mkldnn.is_available():
        pytest.skip("needs oneDNN")


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-6), (torch.bfloat16, 1e-2), (torch.float64, 1e-14)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (600, 33, 130), (513, 144, 216)])
@torch.inference_mode()
def test_products_equal_the_plain_formula(layout, shape, dtype, tolerance):
    n, inputs, outputs = shape
    rows, matrix = torch.randn(n, inputs).to(dtype), (torch.randn(inputs, outputs) / inputs**0.5).to(dtype)
    plus, bias, packed = torch.randn(n, outputs).to(dtype), torch.randn(outputs).to(dtype), lay_out(matrix)
    expected = rows.double() @ matrix.double()
    torch.testing.assert_close(product(rows, packed).double(), expected, rtol=tolerance, atol=4 * tolerance)
    for options in ({"plus": plus}, {"bias": bias}, {"plus": plus, "bias": bias}):
        more = sum(value.double() for value in options.values())
        kept = {name: value.clone() for name, value in options.items()}
        ours = product(rows, packed, **options).double()
        torch.testing.assert_close(ours, expected + more, rtol=tolerance, atol=8 * tolerance)
        assert all(torch.equal(options[name], value) for name, value in kept.items())


def test_a_matrix_of_nothing_is_laid_out_too():
    assert lay_out(torch.zeros(0, 5)).shape == (0, 5)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda conv: pickle.loads(pickle.dumps(conv))])
def test_a_convolution_that_has_laid_out_its_weights_can_be_copied(copied):
    conv, x, mask = SparseConv2d(5, 6), torch.randn(1, 5, 8, 8), torch.ones(1, 1, 8, 8)
    conv.method = "gather"
    with torch.inference_mode():
        expected = conv(x, mask)
        assert conv._packed
        other = copied(conv)
        assert not other._packed
        torch.testing.assert_close(other(x, mask), expected, rtol=0, atol=0)
