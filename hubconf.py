"""torch.hub.load("path/to/clone", "waveletvfi", source="local")

Entry points of torch.hub: every name here that does not begin with an underscore.
"""

import importlib
import sys
from pathlib import Path as _Path
from typing import Any as _Any

dependencies = ["torch", "numpy", "PIL", "pywt"]


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
        ImportError: this process has imported other modules named as this project's.
    """
    _check_names()
    models = importlib.import_module("models")
    if checkpoint is None and pretrained:
        checkpoint = models.default_checkpoint()
    return models.waveletvfi(checkpoint, **options)


def _check_names() -> None:
    """Python keeps one module per name: another project's `utils`, once imported, would silently be ours."""
    root = _Path(__file__).resolve().parent
    for name in ("extras", "models", "pytorch_wavelets", "utils", "weight_files"):
        file = getattr(sys.modules.get(name), "__file__", None) or "without a file"
        if name in sys.modules and root not in _Path(file).resolve().parents:
            raise ImportError(
                f"this process has imported another module named {name!r} ({file}); load waveletvfi before it, or in a "
                "process of its own"
            )
