"""torch.hub.load("path/to/clone", "waveletvfi", source="local")

The entry points of torch.hub. Each name that does not begin with an underscore is one.
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
        checkpoint: a .pth or .safetensors file of this project, or the released weights as downloaded. Default: the
            released weights if they are in checkpoints/, else the shipped ones.
        pretrained: False for fresh weights, if there is no `checkpoint`.
        config: "base" or "small", if the weights do not contain it.
        device: the network's device; default CPU.
        sparse: the method for sparse convolutions: "auto", "folded", "gather", "masked" or "triton".
        precision: the precision of the convolutions: "float32", "bf16", or on a GPU "fp16".
        compile: compile the dense parts with torch.compile.
        passes: the default number of MP-Net's passes, or "auto". Default: that of the weights.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a checkpoint, or holds weights of another network; an option has an unknown value.
    """
    models = _sys.modules.get("models")
    file = getattr(models, "__file__", None)
    if models and file and _Path(file).resolve().parent == _ROOT / "models":  # a process of this project
        if checkpoint is None and pretrained:
            checkpoint = models.default_checkpoint()
        return models.waveletvfi(checkpoint, **options)
    return _package().load(checkpoint, pretrained=pretrained, **options)


def _package() -> _Any:
    """Import the clone as one package with a unique name.

    Thus `models`, `utils` and an installed `waveletvfi` keep their meaning in this process.
    """
    folder = _ROOT / "waveletvfi"
    name = f"waveletvfi_clone_{_hashlib.sha256(str(_ROOT).encode()).hexdigest()[:8]}"
    if name not in _sys.modules:
        spec = _spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
        assert spec and spec.loader
        module = _sys.modules[name] = _module_from_spec(spec)
        spec.loader.exec_module(module)
    return _sys.modules[name]
