"""The helpers for general use, under one name. Their code is in the folder `common/`.

| file of `common/` | purpose |
|---|---|
| `images`, `tiff_files` | read and write image files as tensors |
| `checkpoints`, `weight_files` | save and load weights (.pth, .safetensors) |
| `whole_files` | write files that appear only when they are complete; say what a wrong file holds |
| `distributed` | processes, devices and seeds |
| `names` | sort files as people do; find a function by "module:function" |
| `startup` | begin and end a script; is imported before torch |
| `extras` | import optional packages |
"""

import logging

from common.checkpoints import load_checkpoint, save_checkpoint
from common.distributed import Process, init_distributed, pick_device, seed_everything
from common.images import has_alpha, image_to_tensor, read_image, read_layers, tensor_to_image, write_image
from common.names import find_function, natural_order, split_numbers
from common.startup import keep_freed_memory, run_script
from common.whole_files import (
    STRANGE_HEAD,
    atomic_path,
    describe_strange_head,
    describe_stranger,
    naming_failed_write,
    short_name,
)

logger = logging.getLogger("waveletvfi")

__all__ = [
    "STRANGE_HEAD",
    "Process",
    "atomic_path",
    "describe_strange_head",
    "describe_stranger",
    "find_function",
    "has_alpha",
    "image_to_tensor",
    "init_distributed",
    "keep_freed_memory",
    "load_checkpoint",
    "logger",
    "naming_failed_write",
    "natural_order",
    "pick_device",
    "read_image",
    "read_layers",
    "run_script",
    "save_checkpoint",
    "seed_everything",
    "short_name",
    "split_numbers",
    "tensor_to_image",
    "write_image",
]
