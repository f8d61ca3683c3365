"""Images, checkpoints, processes and seeds: what every script needs and no paper describes."""

import contextlib
import hashlib
import importlib
import logging
import os
import pickle
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

import tiff_files
import weight_files
from startup import run_script as run_script

logger = logging.getLogger("waveletvfi")

TEXT = frozenset(b"\t\r\n") | frozenset(range(32, 127))  # bytes
LONG_NAME = 80  # bytes; some file systems hold 143, all 255


class Process(NamedTuple):
    """One process of a (possibly distributed) run.

    rank, world_size: position among all processes and their number; local_rank: position on this host.
    device: where this process computes.
    """

    rank: int
    world_size: int
    local_rank: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0


def read_image(path: str | os.PathLike) -> Tensor:
    """Read an image file as RGB.

    Grey, palette, alpha, 16-bit and floating-point files (0 to 1) are converted to 8-bit RGB with a logged warning.
    EXIF rotation is applied.

    Returns:
        (1, 3, H, W) float32 in [0, 1].
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not an image, is truncated or corrupt, or does not say which value is white.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no image at {path}")
    if (pixels := tiff_files.read_float(path)) is not None:
        logger.warning("%s: %s, converted to 8-bit RGB", path, "floating point")
        return image_to_tensor((pixels * 255).round().astype(np.uint8))
    try:
        with Image.open(path) as image:
            conversion = _describe_conversion(image)
            image.load()
            rgb = _to_rgb8(ImageOps.exif_transpose(image), path)
    except UnidentifiedImageError as error:
        stranger = describe_stranger(path)
        kind = f"an image but {stranger}" if stranger else "an image that Pillow reads"
        raise ValueError(f"{path} is not {kind}") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is truncated or corrupt: {error}") from error
    if conversion:
        logger.warning("%s: %s, converted to 8-bit RGB", path, conversion)
    return image_to_tensor(rgb)


def image_to_tensor(rgb: np.ndarray) -> Tensor:
    """(H, W, 3) uint8, or uint16 of full scale -> (1, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float() / np.iinfo(rgb.dtype).max


def tensor_to_image(frame: Tensor, dtype: np.dtype | type = np.uint8) -> np.ndarray:
    """(1, 3, H, W) or (3, H, W) in [0, 1] -> (H, W, 3) uint8, or uint16 of full scale, rounded.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    if frame.dim() == 4 and frame.shape[0] == 1:
        frame = frame[0]
    if frame.dim() != 3 or frame.shape[0] != 3:
        raise ValueError(f"an RGB image of shape (3, H, W) or (1, 3, H, W) is needed, got {tuple(frame.shape)}")
    frame = frame.detach().float()
    if not torch.isfinite(frame).all():
        raise ValueError("the image holds NaN or infinite values: are the weights damaged?")
    scaled = (frame.clamp(0, 1) * np.iinfo(dtype).max).round().permute(1, 2, 0)
    whole = scaled.to(torch.uint8 if dtype == np.uint8 else torch.int32).contiguous()  # few bytes leave the device
    return whole.cpu().numpy().astype(dtype, copy=False)


def write_image(path: str | os.PathLike, frame: Tensor) -> None:
    """Write (1, 3, H, W) or (3, H, W) in [0, 1] as an 8-bit image; by suffix. Atomic. Raises OSError, ValueError."""
    array = tensor_to_image(frame)
    if Path(path).suffix.lower() not in Image.registered_extensions():
        raise ValueError(f"{path}: unknown image suffix {Path(path).suffix!r}; use for example .png")
    with atomic_path(path) as temporary, naming_failed_write(path):
        Image.fromarray(array).save(temporary)


def short_name(name: str) -> str:
    """The name, or where it is long, its beginning and a hash: a file system that holds it may not hold it and more."""
    content = os.fsencode(name)
    if len(content) <= LONG_NAME:
        return name
    return f"{content[: LONG_NAME // 2].decode(errors='ignore')}-{hashlib.sha256(content).hexdigest()[:12]}"


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix) that takes its name when the block succeeds, and is removed
    when it does not. The folder is made if needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{short_name(path.stem)}.", suffix=f".part{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp's 0600 is for secrets, this is a result
        temporary.replace(path)
    except OSError as error:
        if error.errno and not error.filename:  # a full disk is reported without a name
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_failed_write(path: str | os.PathLike) -> Iterator[None]:
    """Turn a failed write into an OSError with the path: a full disk is reported without a name, by PyTorch even as a
    RuntimeError that follows it."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        first: BaseException = error
        while not isinstance(first, OSError) and first.__context__:
            first = first.__context__
        raise OSError(f"cannot write {path}: {getattr(first, 'strerror', None) or error}") from error


def save_checkpoint(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) so that a crash leaves the old file or the new one.

    A path that ends in .safetensors is written in that format: weights, and entries that JSON can hold.

    Raises:
        OSError: the file cannot be written. ValueError: .safetensors cannot hold `state`, or is not installed.
    """
    write = weight_files.writer(Path(path))
    with atomic_path(path) as temporary, naming_failed_write(path):
        write(temporary, state)


def load_checkpoint(path: str | os.PathLike, *, map_location: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint written by this project, a plain state dict, or the released weights as downloaded.

    PyTorch's format, or safetensors where the name ends so.

    Returns:
        A dict with at least "model": the state dict, a `module.` prefix (left by DistributedDataParallel) removed.
        Names are as in the file; `WaveletVFI.load_state_dict` takes our names and the released ones.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a checkpoint, truncated or damaged, or it holds no weights; safetensors is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    read = weight_files.reader(path)
    try:
        content = read(path, map_location)
    except weight_files.DamagedFile as error:
        raise ValueError(f"{path} is damaged: {error}; copy or download it again, or use another") from error
    except Exception as error:  # the reader is driven by the file's bytes and fails in as many ways as there are files
        if stranger := describe_stranger(path):
            raise ValueError(f"{path} is not a checkpoint but {stranger}") from error
        if isinstance(error, pickle.UnpicklingError):  # PyTorch's own words advise to load the file unsafely
            raise ValueError(
                f"{path} is not a checkpoint, or holds more than tensors and plain values, which is not loaded since "
                "it could run any code; save the network's state_dict() alone"
            ) from error
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} is not a checkpoint that can be read safely, or it is truncated ({type(error).__name__}: {reason})"
        ) from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} holds a {type(content).__name__}, not a checkpoint or a state dict")
    if not isinstance(content.get("model"), dict):
        content = {"model": content}
    weights = content["model"]
    foreign = [str(key) for key, value in weights.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
    if foreign or not weights:
        raise ValueError(
            f"{path} holds no state dict: {', '.join(foreign[:3]) or 'nothing'} found where weights belong"
        )
    content["model"] = {key.removeprefix("module."): value for key, value in weights.items()}
    return content


def describe_stranger(path: Path) -> str:
    """What a file is that is not what its name says: something servers and Git put in the place of others, or text.
    Empty where its content does not tell."""
    with path.open("rb") as file:
        head = file.read(256)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "an empty file"
    if head.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS to the file itself, which `git lfs pull` fetches"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page; download the file itself (on GitHub and Hugging Face, the link that says raw or download)"
    if all(byte in TEXT for byte in head):
        line = " ".join(head.decode(errors="replace").split())
        return f'text: "{line[:60]}{"..." if len(line) > 60 else ""}"'
    return ""


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sorted by name, 2 before 10, -2 before -1."""
    return sorted(paths, key=lambda path: (split_numbers(path.name), path.name))


def split_numbers(name: str) -> list[str | int]:
    """Text in small letters and numbers in turn, text first, so that like meets like where names are compared.

    A hyphen is a sign at the beginning and after "_", "(" and "="; elsewhere it separates, as in "frame-2" and dates.
    """
    parts = re.split(r"((?:(?:^|(?<=[_(=]))-)?\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def find_function(text: str, role: str) -> Callable[..., Any]:
    """A function of two tensors by "module:function"; modules are found in the working folder too.

    Args:
        role: what it is for, for errors.
    Raises:
        ValueError: another form, no such module or function, or nothing that can be called.
    """
    module, _, name = text.partition(":")
    if not (module and name):
        raise ValueError(f"a {role} is named module:function, got {text!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the module is anybody's
        raise ValueError(f"the {role} {text} cannot be had: {error} ({type(error).__name__})") from error
    if not callable(function):
        raise ValueError(f"the {role} {text} is a {type(function).__name__}, not a function of two tensors")
    return function


def init_distributed(device: str = "auto") -> Process:
    """Join the process group that torchrun or torch.distributed.launch announces, if any.

    Args:
        device: "auto" (CUDA when there is one), "cpu", "cuda", "mps", or a full name such as "cuda:1".
    """
    name = pick_device(device)
    rank, world_size, local_rank = (
        int(os.environ.get(key, default)) for key, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    if name.type == "cuda" and name.index is None:
        name = torch.device("cuda", local_rank)
        torch.cuda.set_device(name)
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        store, _, _ = next(rendezvous("env://"))
        # torchrun keeps its store when it restarts: on one host, an attempt must not find the addresses of the last.
        on_one_host = os.environ.get("GROUP_WORLD_SIZE") == "1"
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT") if on_one_host else "any"
        store = dist.PrefixStore(f"attempt {attempt}", store)
        backend = "nccl" if name.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    return Process(rank, world_size, local_rank, name)


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The named device, or the best one for "auto". Raises ValueError for a device this machine does not have."""
    if device == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {str(device)!r} cannot be used here ({reason}); try --device cpu") from error
    return torch.device(device)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _describe_conversion(image: Image.Image) -> str:
    """What `_to_rgb8` will lose or change, in words; empty for plain 8-bit RGB."""
    tile = getattr(image, "tile", None)
    raw_mode = str(tile[0][3]) if tile else ""
    deep = "16-bit " if "16" in raw_mode or image.mode.startswith("I") else ""
    alpha = "A" in image.getbands() or "transparency" in image.info
    names = {"1": "black and white", "L": "grey", "LA": "grey", "I": "grey", "F": "floating-point grey", "P": "palette"}
    kind = names.get(image.mode.split(";")[0], "" if image.mode in ("RGB", "RGBA", "RGBX") else image.mode)
    parts = [f"{deep}{kind}".strip(), "alpha channel (dropped)" if alpha else ""]
    return " with ".join(part for part in parts if part)


def _to_rgb8(image: Image.Image, path: Path) -> np.ndarray:
    if image.mode == "F":
        grey = (tiff_files.check_range(np.asarray(image, np.float32), path) * 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip at 255
        grey = np.clip(np.asarray(image).astype(np.float64) / 257, 0, 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))
