"""Which part of the project may import which, and what the parts import, for tests."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


#: What each part of the project may import of the others.
MAY_IMPORT = {
    "common": set(),
    "utils": {"common"},
    "pytorch_wavelets": set(),
    "models": {"common", "pytorch_wavelets", "utils"},
    "datasets": {"utils", "video"},  # one decoder: a benchmark must judge the pixels that the tool makes
    "benchmark": {"common", "datasets", "models", "pytorch_wavelets", "utils", "video"},
    "video": {"common", "models", "utils"},
    "web": {"datasets", "models", "utils", "video"},
    "training": {"models", "datasets", "utils"},
    "train_vimeo90k": {"common", "datasets", "training", "utils"},
    "interpolate": {"common", "models", "utils", "video"},
    "export_onnx": {"common", "models", "utils"},
    "hubconf": set(),
    "setup": {"waveletvfi"},
    "waveletvfi": {"models"},  # for the type of `load` alone
    "app": {"common", "models", "utils", "web"},
    "waveletvfi_vs": {"common", "models", "utils", "video"},
    "demo": {"common", "datasets", "interpolate", "models", "utils", "video"},
}


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports; relative imports as ".name"."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * min(node.level, 1) + (node.module or "").split(".")[0])
    return names


def files_of(part: str) -> list[Path]:
    return [ROOT / f"{part}.py"] if (ROOT / f"{part}.py").is_file() else sorted((ROOT / part).rglob("*.py"))
