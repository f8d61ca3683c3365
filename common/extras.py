"""Optional packages: those of requirements-extra.txt, imported when they are first needed."""

import importlib
from typing import Any

from .startup import LISTS, ROOT


class MissingPackageError(ImportError, ValueError):
    """An optional package is not installed. It is a ValueError, too, so that scripts end in one line."""


def require(module: str, purpose: str) -> Any:
    """Import an optional module.

    Args:
        module: its full name.
        purpose: the feature that needs it; the message begins with these words.
    Raises:
        MissingPackageError: the module is not installed. The message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).split(".")[0]
        wanted = f"-r {LISTS[1]}" if (ROOT / LISTS[1]).is_file() else package  # a clone, or installed by pip
        raise MissingPackageError(
            f"{purpose} needs the package {package}, which is not installed: pip install {wanted}"
        ) from error
