"""The command `waveletvfi`: interpolate a video, or run one of the other scripts by name.

    waveletvfi clip.mp4 --output smooth.mp4     the options of interpolate.py
    waveletvfi page                             app.py, the web page
    waveletvfi evaluate Vimeo90K --data_root D  a script of benchmark/
    waveletvfi train --data_root D              train_vimeo90k.py
    waveletvfi export --output model.onnx       export_onnx.py

Each has --help. Several processes: torchrun --nproc_per_node=4 -m waveletvfi train ...
An input that has the name of a command is written with its folder: ./train
"""

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .common.startup import begin_script, run_script

SCRIPTS = {"page": "app", "train": "train_vimeo90k", "export": "export_onnx"}
SETS = (
    *("ATD12K", "Adobe240", "Folder", "GoPro", "HD", "Middlebury", "SNU_FILM", "UCF101", "Vimeo90K", "XTest", "Xiph"),
)
OTHERS = "Other commands: waveletvfi page, evaluate, train, export; each has --help."


class Command(NamedTuple):
    """A script and its arguments.

    name: the command as it is typed, such as "waveletvfi train".
    module: the script's module inside this package.
    file: the script's path in a clone, as its description names it.
    arguments: all arguments after the name.
    """

    name: str
    module: str
    file: str
    arguments: list[str]


def find_command(words: Sequence[str]) -> Command:
    """Return the command that the words after `waveletvfi` mean.

    Raises:
        ValueError: `evaluate` without the name of a script.
    """
    first, rest = (words[0] if words else ""), list(words[1:])
    if first in SCRIPTS:
        return Command(f"waveletvfi {first}", SCRIPTS[first], f"{SCRIPTS[first]}.py", rest)
    if first == "evaluate":
        names = {name.lower(): name for name in SETS}
        name = names.get(rest[0].lower()) if rest else None
        if name is None:
            given = f"got {rest[0]!r}" if rest else "nothing is given"
            raise ValueError(f"evaluate needs the name of a script, {given}; one of {', '.join(SETS)}")
        return Command(f"waveletvfi evaluate {name}", f"benchmark.{name}", f"benchmark/{name}.py", rest[1:])
    return Command("waveletvfi", "interpolate", "interpolate.py", list(words))


def describe(text: str, command: Command) -> str:
    """Return the description of a script, with the command instead of the script's file."""
    text = text.replace(f"python {command.file}", command.name)
    text = text.replace(f" {command.file}", f" -m {command.name}")  # after torchrun and its options
    return text if command.name != "waveletvfi" else f"{text}\n{OTHERS}\n"


def main() -> None:
    """Run the command that the command line means."""
    begin_script()  # before PyTorch is imported
    if sys.argv[1:] in (["evaluate", "--help"], ["evaluate", "-h"]):
        print(f"usage: waveletvfi evaluate SCRIPT ...\n\nSCRIPT is one of {', '.join(SETS)}; each has --help.")
        return
    try:
        command = find_command(sys.argv[1:])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    module = importlib.import_module(f"{__package__}.{command.module}")
    module.__doc__ = describe(module.__doc__ or "", command)
    sys.argv = [command.name, *command.arguments]
    run_script(module.main, module.parse_args())


if __name__ == "__main__":
    main()
