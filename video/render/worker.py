"""Run the network in a process for another one: take pairs of frames, and return the frames between them."""

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Sequence
from fractions import Fraction
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

import torch

from utils import keep_freed_memory

from ..frame import Frame
from .network import Network
from .pipeline import Between, Maker

READY = "ready"


class Order(NamedTuple):
    """One pair of frames to interpolate.

    frame0, frame1: the frames around.
    wanted: places between them, see `Maker.make`.
    """

    frame0: Frame
    frame1: Frame
    wanted: list[Fraction]


def work(connection: Connection, threads: int) -> None:
    """Make what the connection asks for until it is closed; the target of a worker's process.

    The model comes first, as bytes of `pickle`. Then runs come: settings of `Network`, and consecutive orders. Each
    run is answered by the frames of each order, or by the error that ended it.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    torch.set_num_threads(threads)
    keep_freed_memory()
    try:
        connection.send(READY)
        model = pickle.loads(connection.recv_bytes())
        while True:
            connection.send(_answer(model, *connection.recv()))
    except (EOFError, ConnectionError):  # no more is wanted
        return


def _answer(model: object, settings: dict, orders: Sequence[Order]) -> list[list[Between]] | Exception:
    try:
        maker = Maker(Network(model, **settings))
        return [list(maker.make(*order)) for order in orders]
    except Exception as error:  # it is raised in the first process
        return _portable(error)


def _portable(error: Exception) -> Exception:
    """Return the error, or one with the same message that can be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever the class of the error is
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    """End at once when the process that started this one has ended, for whatever reason."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
