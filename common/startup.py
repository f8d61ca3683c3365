"""Begin and end every script: settings of the process, one-line errors, and exit statuses; and import modules by name.

Modules are imported by name if they are optional packages, when they are first needed, or named by a user.
This file imports nothing but Python's own modules, as scripts import it before torch.
"""

import ctypes
import importlib
import io
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

INTERRUPTED, UNREAD, TERMINATED = 130, 141, 143  # exit status
ERRORS = 2  # the number of standard error, the last standard stream
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}  # the latter is for Intel's and LLVM's OpenMP
ROOT = Path(__file__).resolve().parent.parent
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # names of parameters in glibc's malloc.h
FOREVER = 2**31 - 1
USUAL = {MMAP_MAX: 65536, MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26}  # the values that glibc itself reaches
LISTS = ("requirements.txt", "requirements-extra.txt")


def begin_script() -> None:
    """Prepare the process for the imports of a script. Call this before them.

    Until `run_script` is called, Ctrl-C ends the process with one line. A missing package always ends it with one line.
    See `wait_passively`, `keep_freed_memory` and `prepare_streams` for the other settings.
    """
    wait_passively()
    keep_freed_memory()
    prepare_streams()
    sys.excepthook = _report_missing_package
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # jobs in the background may ignore it
        signal.signal(signal.SIGINT, _end)


def prepare_streams() -> None:
    """Let the process work with closed standard streams, and print names of files that are no text in its encoding.

    Another file must not get the number of a closed stream, because libraries write errors there.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= ERRORS:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stderr is None:
        sys.stderr = open(ERRORS, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as on standard error


def wait_passively() -> None:
    """Let PyTorch's threads sleep while they wait for each other, unless the environment says otherwise.

    By default, waiting threads spin. On a busy machine, they take the processor from working threads: a pair of 640x272
    frames took 7.4 to 8.3 s beside two other processes on two cores, and 0.6 s with sleeping threads. Call this before
    torch is imported. Processes that are started later inherit the setting.
    """
    for name, value in PASSIVE.items():
        os.environ.setdefault(name, value)


def keep_freed_memory(keep: bool = True) -> bool:
    """Let the process keep the memory that it frees. With `keep` false, return large blocks to the system again.

    By default, glibc returns every block above 32 MiB to the system, and gets it back page by page, each page cleared
    and mapped again. This takes up to a seventh of a training step on a CPU, and an eighth of the time of a 1280x720
    pair in float32. A process that keeps its memory never shrinks.

    Returns:
        True if the process has such a setting. Only glibc has it.
    """
    try:
        set_parameter = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or (TypeError) Windows
        return False
    settings = {MMAP_MAX: 0, TRIM_THRESHOLD: FOREVER} if keep else USUAL
    accepted = [set_parameter(name, value) for name, value in settings.items()]
    return all(accepted)


def run_script(main: Callable[[Any], None], args: Any) -> None:
    """Run a script's `main(args)`, and end the process with one line and an exit status if it fails.

    The status is 1 for an error that the user can correct, 130 after Ctrl-C, 143 after SIGTERM, and 141 if the reader
    of the output has closed it. Unfinished files are removed first.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(args)
    except BrokenPipeError as error:
        print(f"ended: {error.strerror}", file=sys.stderr)
        sys.exit(UNREAD)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except RuntimeError as error:
        if not _tells_of_lost_process(error):
            raise
        print("error: another process of this run has ended; see its own error", file=sys.stderr)
        sys.exit(1)
    finally:
        if distributed := _distributed():
            distributed.destroy_process_group()


def how_to_get(package: str) -> str:
    """Return the advice for a user who needs `package`."""
    environment, here = ROOT / ".venv", Path(sys.prefix)
    if (environment / "installed").is_file() and here.resolve() != environment.resolve():
        folder = "Scripts" if os.name == "nt" else "bin"
        command = shlex.quote(str(environment / folder / "activate"))
        return f"activate the environment that `make` has made: {'' if os.name == 'nt' else 'source '}{command}"
    if not (ROOT / LISTS[0]).is_file():  # installed by pip
        return f"pip install {package}"
    listed = [name for name in LISTS if package.lower() in _packages(ROOT / name)]
    return f"pip install -r {(listed or LISTS)[0]}"


def _packages(path: Path) -> set[str]:
    """Return the packages in a list of requirements, in lower case. Return an empty set if there is no such file."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return {line.partition("=")[0].partition("[")[0].strip().lower() for line in lines}


def _report_missing_package(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report a missing package in one line. Report any other error as Python does."""
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    is_ours = package == __name__.partition(".")[0] or (ROOT / package).is_dir() or (ROOT / f"{package}.py").is_file()
    if not package or is_ours or package in sys.stdlib_module_names:
        sys.__excepthook__(kind, error, trace)
        return
    message = f"the package {package} is not installed for {sys.executable}; {how_to_get(package)}"
    print(f"error: {message}", file=sys.stderr)


def _end(*_: object) -> None:
    """End the process at once. No file is being written yet, and a running import might catch an exception."""
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def _distributed() -> Any:
    """Return torch.distributed if this process has joined a group, else None. Do not import it."""
    module = sys.modules.get("torch.distributed")
    return module if module and module.is_initialized() else None


def _tells_of_lost_process(error: RuntimeError) -> bool:
    """Return True if the error of a distributed run means that another process has ended."""
    distributed = _distributed()
    is_told = "closed by peer" in str(error) or "reset by peer" in str(error)
    return bool(distributed) and (is_told or isinstance(error, distributed.DistError))


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
