"""Requests to stop: the first SIGTERM or SIGINT lets a run finish its step and save, the second ends it at once."""

import os
import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """While entered, `number` becomes that of the first signal received; 0 before."""

    def __init__(self):
        self.number, self._handlers = 0, {}

    def __enter__(self) -> "StopRequest":
        self._handlers = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: object) -> None:
        self.number = number
        self.__exit__()


def leave_signals_to_parent(worker: int) -> None:
    """For the workers of a loader: a process group of their own.

    Launchers and terminals signal the whole group of a run, which still needs its workers' batches to finish its step.
    """
    os.setpgid(0, 0)
