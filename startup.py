"""The beginning and the end of every script."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

INTERRUPTED, TERMINATED = 130, 143  # exit status


def end_quietly() -> None:
    """Let Ctrl-C end the process in one line until `run_script`: for the seconds in which a script imports the rest."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # jobs in the background may ignore it
        signal.signal(signal.SIGINT, _end)


def run_script(main: Callable[[Any], None], args: Any) -> None:
    """Run a script's `main(args)`: what the user can mend ends in one line and exit status 1, Ctrl-C in 130, SIGTERM in
    143, all three after the clean-up of what was being written."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(args)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except RuntimeError as error:
        if not _tells_of_lost_process(error):
            raise
        print("error: another process of this run has ended; its own error says why", file=sys.stderr)
        sys.exit(1)
    finally:
        if distributed := _distributed():
            distributed.destroy_process_group()


def _end(*_: object) -> None:
    """Nothing is being written yet; an exception would only be told by each import that is under way."""
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def _distributed() -> Any:
    """PyTorch's module of that name where this process has joined others, else None; it is not imported for that."""
    module = sys.modules.get("torch.distributed")
    return module if module and module.is_initialized() else None


def _tells_of_lost_process(error: RuntimeError) -> bool:
    """Return True if a process of a distributed run waited for one that is gone."""
    distributed = _distributed()
    is_told = "closed by peer" in str(error) or "reset by peer" in str(error)
    return bool(distributed) and (is_told or isinstance(error, distributed.DistError))
