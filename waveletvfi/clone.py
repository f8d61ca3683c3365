"""Make the folders of a clone modules of one package: `utils` becomes `waveletvfi.utils`.

In a clone, files import each other by short names, as in `from utils import read_image`. Installed like this, they
would take these names from all other projects. Therefore imports of our own names are rewritten:

* `pip install` installs rewritten copies (setup.py).
* In a clone nothing is copied: each file is rewritten when it is imported as a module of the package (`join`).

This file itself is not installed.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("app", "export_onnx", "interpolate", "train_vimeo90k", "utils", "waveletvfi_vs")
FOLDERS = ("benchmark", "common", "datasets", "models", "pytorch_wavelets", "training", "video", "web")
PARTS = {*SCRIPTS, *FOLDERS}
#: Other files that are installed. The released weights are not ours to pass on.
DATA = ("checkpoints/waveletvfi_small.pth", "checkpoints/README.md", "examples/bird.mp4", "examples/README.md")
NOT_INSTALLED = (".pyc", ".pth")  # training/trunk_small.pth, which nobody interpolates with, is as large as all else


def installed_files(root: Path = ROOT) -> Iterator[Path]:
    """Yield the files of all parts and data, relative to `root`."""
    for folder in FOLDERS:
        files = (path.relative_to(root) for path in sorted((root / folder).rglob("*")) if path.is_file())
        shown = (path for path in files if not any(part.startswith(".") for part in path.parts))
        yield from (path for path in shown if path.suffix not in NOT_INSTALLED)
    yield from (Path(f"{name}.py") for name in SCRIPTS)
    yield from map(Path, DATA)


def rewrite(source: bytes, package: str) -> bytes:
    """Return the source with imports of `PARTS` turned into imports from `package`.

    Lines keep their numbers, and text in strings and comments stays. A line that puts the clone into `sys.path`
    becomes `pass`.

    Raises:
        ValueError: an import of our own names has a form that cannot be rewritten.
    """
    lines = source.splitlines(keepends=True)
    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    for node in sorted(statements, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        old_new = _replacement(node, package)
        if old_new is None:
            continue
        old, new = (text.encode() for text in old_new)
        line, start = lines[node.lineno - 1], node.col_offset  # ast counts bytes, too
        if line[start : start + len(old)] != old:
            raise ValueError(f"line {node.lineno} must begin with {old.decode()!r} to be installed")
        lines[node.lineno - 1] = line[:start] + new + line[start + len(old) :]
    return b"".join(lines)


def join(package: str) -> None:
    """Let Python find the clone's files as modules of `package`."""
    if not any(isinstance(finder, _Finder) and finder.package == package for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(package))


def _replacement(node: ast.stmt, package: str) -> tuple[str, str] | None:
    """Return the beginning of a statement and its replacement, or None if the statement does not change."""
    if isinstance(node, ast.ImportFrom) and not node.level and _is_ours(node.module or ""):
        return f"from {node.module} import", f"from {package}.{node.module} import"
    if isinstance(node, ast.Import) and any(_is_ours(alias.name) for alias in node.names):
        return ast.unparse(node), "; ".join(_import(alias, package) for alias in node.names)
    if isinstance(node, ast.Expr):
        text = ast.unparse(node)
        if text.startswith("sys.path.insert(0, str(Path(__file__)"):
            return text, "pass"
    return None


def _import(alias: ast.alias, package: str) -> str:
    """Return the statement for one name of `import a, b.c, d as e`."""
    top, _, below = alias.name.partition(".")
    if not _is_ours(alias.name):
        return f"import {ast.unparse(alias)}"
    if alias.asname:
        return f"import {package}.{ast.unparse(alias)}"
    imported = f"from {package} import {top}"
    return f"import {package}.{alias.name} as _; {imported}" if below else imported


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PARTS


class _Finder(MetaPathFinder):
    """A finder of the clone's files as modules of a package."""

    def __init__(self, package: str):
        self.package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        if package != self.package or not _is_ours(name):
            return None
        folder = ROOT.joinpath(*name.split(".")).parent
        return FileFinder(str(folder), (_Loader, [".py"])).find_spec(fullname)


class _Loader(SourceFileLoader):
    """A loader of rewritten files. It stores no compiled code, which would replace that of the original file."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        package = fullname.partition(".")[0]
        code: Any = self.source_to_code(rewrite(self.get_data(path), package), path)
        return code
