"""LPIPS and DISTS: only where package and weights are on the machine, and every image alone."""

import sys

import torch

from benchmark.metrics import open_perceptual

CPU = torch.device("cpu")


def test_perceptual_metrics_are_left_out_with_a_reason_where_the_package_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", None)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.dists", None)
    found, missing = open_perceptual(CPU)
    assert found == {}
    assert [text.partition(":")[0] for text in missing] == ["LPIPS is left out", "DISTS is left out"]


class Metric(torch.nn.Module):
    """Stands for those of torchmetrics: accumulates, and returns the mean over what it was given."""

    def __init__(self, **options):
        super().__init__()
        self.options, self.total, self.count = options, 0.0, 0

    def forward(self, a, b):
        self.total, self.count = self.total + (a - b).abs().mean(), self.count + 1
        return self.total / self.count

    def reset(self):
        self.total, self.count = 0.0, 0


def test_perceptual_metrics_judge_every_image_alone_once_their_weights_are_there(tmp_path, monkeypatch):
    for module, name in (
        ("torchmetrics.image.lpip", "LearnedPerceptualImagePatchSimilarity"),
        ("torchmetrics.image.dists", "DeepImageStructureAndTextureSimilarity"),
    ):
        monkeypatch.setitem(sys.modules, module, type(sys)(module))
        setattr(sys.modules[module], name, Metric)
    for package in ("torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, package, type(sys)(package))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert [text.partition(" at ")[0] for text in open_perceptual(CPU)[1]] == [
        "LPIPS is left out: its weights are not",
        "DISTS is left out: its weights are not",
    ]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/alexnet-owt-7be5be79.pth").touch()
    found, missing = open_perceptual(CPU)
    assert list(found) == ["lpips"] and len(missing) == 1
    a, b = torch.rand(2, 3, 3, 8, 8)
    torch.testing.assert_close(found["lpips"](a, b), (a - b).abs().mean((1, 2, 3)))
