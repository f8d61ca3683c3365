"""The progress of a job, its remaining time, and a way to stop it."""

import threading
import time
from collections.abc import Callable

Show = Callable[[float | None, str], object]  # takes the part that is done, 0 to 1, and a text


class Stopped(Exception):
    """A job was stopped by its user, or because its page was closed."""


class Stops:
    """The running jobs, by the session of the page that began them. A session has one job at a time."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}
        self._closed = threading.Event()
        self._closed.set()

    def begin(self, session: str) -> None:
        """Note a new job of a session, and stop its previous one. The new job may have to wait for others."""
        self.stop(session)
        self._events[session] = threading.Event()

    def event(self, session: str) -> threading.Event:
        """Return the event that is set if the session's job has to stop, or must not begin."""
        return self._events.get(session, self._closed)

    def stop(self, session: str) -> None:
        """Stop the session's job, if there is one, even while it waits."""
        if session in self._events:
            self._events[session].set()

    def finish(self, session: str, event: threading.Event) -> None:
        """Note that the job with this event has ended. A newer job of the session continues."""
        if self._events.get(session) is event:
            del self._events[session]

    def end(self, session: str) -> None:
        """Stop the session's job and forget the session, as its page was closed or loaded again."""
        self.stop(session)
        self._events.pop(session, None)


class Countdown:
    """A function that shows the finished frames, the expected ones and the remaining time.

    It takes the number of finished frames and of expected ones, or None. It raises `Stopped` after `event` is set.
    """

    def __init__(self, show: Show, event: threading.Event | None = None, clock: Callable[[], float] = time.monotonic):
        self._show, self._event, self._clock = show, event or threading.Event(), clock
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, expected: int | None) -> None:
        if self._event.is_set():
            raise Stopped
        if self._first is None:
            self._first = self._clock(), done
        if not expected:
            self._show(None, f"{done} frames")
            return
        started, already = self._first
        new, left = done - already, max(expected - done, 0)
        text = f"{done} of {expected} frames"
        if new and left:
            text += f", {_in_words((self._clock() - started) / new * left)} left"
        self._show(min(done / expected, 1), text)


def _in_words(seconds: float) -> str:
    """Return a time as people say it: "12 s", "3 min", "2 h 5 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
