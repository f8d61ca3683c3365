"""torch.hub.load("path/to/clone", "waveletvfi", source="local")

Entry points of torch.hub: every name here that does not begin with an underscore.
"""

import hashlib as _hashlib
import sys as _sys
from importlib.util import module_from_spec as _module_from_spec
from importlib.util import spec_from_file_location as _spec_from_file_location
from pathlib import Path as _Path
from typing import Any as _Any

dependencies = ["torch", "numpy", "PIL", "pywt"]

_ROOT = _Path(__file__).resolve().parent


def waveletvfi(checkpoint: str | None = None, *, pretrained: bool = True, **options: _Any) -> _Any:
    """Return WaveletVFI, a network for video frame interpolation, in evaluation mode. Nothing is downloaded.

    model.interpolate(img0, img1) returns the middle frame of two (B, 3, H, W) RGB frames in [0, 1] of any size;
    model.interpolate_details(img0, img1) returns flows, occlusion, masks and cost, too. Both take ratio= or budget=.

    Args:
        checkpoint: a .pth or .safetensors file: of this project, or the released weights as downloaded. Default: the
            released weights if they are in checkpoints/, else the shipped ones.
        pretrained: False for fresh weights.
        config: "base" or "small", if the weights do not tell it.
        device: the network's device; default CPU.
        sparse: how sparse convolutions are computed: "auto", "folded", "gather", "masked" or "triton".
        precision: of the convolutions: "float32", "bf16", or on a GPU "fp16".
        compile: compile the dense parts with torch.compile.
    Raises:
        FileNotFoundError, ValueError: no such file, not a checkpoint, weights of another network, unknown options.
    """
    models = _sys.modules.get("models")
    file = getattr(models, "__file__", None)
    if models and file and _Path(file).resolve().parent == _ROOT / "models":  # this project's own process
        if checkpoint is None and pretrained:
            checkpoint = models.default_checkpoint()
        return models.waveletvfi(checkpoint, **options)
    return _package().load(checkpoint, pretrained=pretrained, **options)


def _package() -> _Any:
    """Import the clone as one package, under a name that no other project has: `models`, `utils` and an installed
    `waveletvfi` keep their meaning in this process."""
    folder = _ROOT / "waveletvfi"
    name = f"waveletvfi_clone_{_hashlib.sha256(str(_ROOT).encode()).hexdigest()[:8]}"
    if name not in _sys.modules:
        spec = _spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
        assert spec and spec.loader
        module = _sys.modules[name] = _module_from_spec(spec)
        spec.loader.exec_module(module)
    return _sys.modules[name]
