"""torch.hub.load("path/to/clone", "waveletvfi", source="local")

Entry points of torch.hub: every name here that does not begin with an underscore.
"""

import contextlib as _contextlib
import importlib as _importlib
import sys as _sys
from collections.abc import Iterator as _Iterator
from importlib.machinery import PathFinder as _PathFinder
from pathlib import Path as _Path
from typing import Any as _Any

dependencies = ["torch", "numpy", "PIL", "pywt"]

_ROOT = _Path(__file__).resolve().parent
_NAMES = ("common", "models", "pytorch_wavelets", "utils")


def waveletvfi(checkpoint: str | None = None, *, pretrained: bool = True, **options: _Any) -> _Any:
    """WaveletVFI, video frame interpolation in the wavelet domain, in evaluation mode. Nothing is downloaded.

    model.interpolate(img0, img1) gives the middle frame of two (B, 3, H, W) RGB frames in [0, 1] of any size;
    model.interpolate_details(img0, img1) gives flows, occlusion, masks and cost too; both take ratio= or budget=.

    Args:
        checkpoint: a .pth or .safetensors file: of this project, or the released weights as downloaded. Default: the
            released weights where they are in checkpoints/, else the shipped ones.
        pretrained: False for fresh weights.
        config: "base" or "small", where the weights do not tell it.
        device: where to; default CPU.
        sparse: how sparse convolutions are computed: "auto", "folded", "gather", "masked" or "triton".
        precision: of the convolutions: "float32", "bf16", or on a GPU "fp16".
        compile: the dense parts with torch.compile.
    Raises:
        FileNotFoundError, ValueError: no such file, not a checkpoint, weights of another network, unknown options.
    """
    with _own_modules():
        models = _importlib.import_module("models")
        if checkpoint is None and pretrained:
            checkpoint = models.default_checkpoint()
        return models.waveletvfi(checkpoint, **options)


@_contextlib.contextmanager
def _own_modules() -> _Iterator[None]:
    """`models`, `utils` and so on are ours inside. Outside they stay what they are, or can become, in this process:
    Python keeps one module per name, and many projects have these."""
    before = {name: module for name, module in _sys.modules.items() if name.split(".")[0] in _NAMES}
    foreign = [name for name in _NAMES if name in before and not _is_ours(before[name])]
    elsewhere = [name for name in _NAMES if name not in before and _is_elsewhere(name)]
    _forget(foreign)
    try:
        yield
    finally:
        if foreign or elsewhere:
            _forget(_NAMES)
            _sys.modules.update(before)


def _forget(names: tuple[str, ...] | list[str]) -> None:
    for name in [name for name in _sys.modules if name.split(".")[0] in names]:
        del _sys.modules[name]


def _is_ours(module: _Any) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and _ROOT in _Path(file).resolve().parents


def _is_elsewhere(name: str) -> bool:
    """Whether a folder of the search path other than this one has such a module."""
    folders = [folder for folder in _sys.path if _Path(folder).resolve() != _ROOT]
    return _PathFinder.find_spec(name, folders) is not None
