"""Import modules by name: optional packages when they are first needed, and functions that a user names."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .startup import LISTS, ROOT


class MissingPackageError(ImportError, ValueError):
    """An optional package is not installed. The error is a ValueError, too, so that scripts end with one line."""


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


def find_function(text: str, role: str) -> Callable[..., Any]:
    """Return the function that "module:function" names. Modules in the working folder are found, too.

    Args:
        text: the name.
        role: the purpose of the function, for errors.
    Raises:
        ValueError: `text` has another form, there is no such module or function, or it cannot be called.
    """
    module, _, name = text.partition(":")
    if not (module and name):
        raise ValueError(f"a {role} is named module:function, got {text!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the module may raise anything
        raise ValueError(f"the {role} {text} cannot be imported: {error} ({type(error).__name__})") from error
    if not callable(function):
        raise ValueError(f"the {role} {text} is a {type(function).__name__}, not a function of two tensors")
    return function
