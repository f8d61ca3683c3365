"""Names: files sorted as people sort them, and functions found by "module:function"."""

import importlib
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Return the paths sorted by name, 2 before 10, -2 before -1."""
    return sorted(paths, key=lambda path: (split_numbers(path.name), path.name))


def split_numbers(name: str) -> list[str | int]:
    """Split a name into text in small letters and numbers, in turn and text first, so that names can be compared.

    A hyphen is a sign at the beginning and after "_", "(" and "="; elsewhere it separates, as in "frame-2" and dates.
    """
    parts = re.split(r"((?:(?:^|(?<=[_(=]))-)?\d+)", name.lower())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def find_function(text: str, role: str) -> Callable[..., Any]:
    """Return the function that "module:function" names. Modules in the working folder are found, too.

    Args:
        role: the function's purpose, for errors.
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
    except Exception as error:  # the module is anybody's
        raise ValueError(f"the {role} {text} cannot be had: {error} ({type(error).__name__})") from error
    if not callable(function):
        raise ValueError(f"the {role} {text} is a {type(function).__name__}, not a function of two tensors")
    return function
