"""WaveletVFI: video frame interpolation in the wavelet domain.

    import waveletvfi
    from waveletvfi.utils import read_image, write_image

    model = waveletvfi.load()  # the shipped weights
    write_image("middle.png", model.interpolate(read_image("a.png"), read_image("b.png")))

`models`, `video`, `utils` and the other parts of the project are modules of this package: `waveletvfi.video` and so on.
"""

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models import WaveletVFI

__all__ = ["load"]


def load(checkpoint: str | os.PathLike | None = None, *, pretrained: bool = True, **options: Any) -> "WaveletVFI":
    """Return the network in evaluation mode. Nothing is downloaded.

    model.interpolate(img0, img1) returns the middle frame of two (B, 3, H, W) RGB frames in [0, 1] of any size;
    model.interpolate_details(img0, img1) returns flows, occlusion, masks and cost, too. Both take ratio= or budget=.

    Args:
        checkpoint: a .pth or .safetensors file. Default: the released weights if they are in the folder `checkpoints`,
            else the shipped ones.
        pretrained: False for fresh weights, if there is no `checkpoint`.
        options: those of `models.waveletvfi`: config, device, sparse, precision, compile, passes.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint, or holds weights of another network; an option has an unknown value.
    """
    models = importlib.import_module(f"{__name__}.models")
    if checkpoint is None and pretrained:
        checkpoint = models.default_checkpoint()
    return models.waveletvfi(checkpoint, **options)


if not (Path(__file__).parent / "models").is_dir():  # this is a clone: its folders are beside this one
    from .clone import join

    join(__name__)
