"""The helpers for general use. Their code is in the folder `common/`.

| file of `common/` | purpose |
|---|---|
| `images` | read and write image files as tensors |
| `checkpoints` | save and load weights (.pth, .safetensors) |
| `whole_files` | sort file names; write files that appear only when complete; locks; describe wrong files |
| `distributed` | processes, devices and seeds |
| `startup` | begin and end a script; import optional packages, and functions named "module:function" |
"""

import logging

from common.checkpoints import load_checkpoint, save_checkpoint
from common.distributed import Process, init_distributed, pick_device, seed_everything
from common.images import has_alpha, image_to_tensor, read_image, read_layers, tensor_to_image, write_image
from common.startup import find_function, keep_freed_memory, run_script
from common.whole_files import (
    STRANGE_HEAD,
    Lock,
    atomic_path,
    describe_strange_head,
    describe_stranger,
    naming_failed_write,
    natural_order,
    short_name,
    split_numbers,
)

logger = logging.getLogger("waveletvfi")

__all__ = [
    "STRANGE_HEAD",
    "Lock",
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
