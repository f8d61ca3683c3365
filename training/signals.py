"""Requests to stop: the first SIGTERM or SIGINT lets a run finish its step and save, the second ends it at once."""

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
    """For the workers of a loader: a run that is asked to stop still needs their batches to finish its step.

    Terminals signal the whole group of a run, schedulers each of its processes. Workers end with their parent.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
