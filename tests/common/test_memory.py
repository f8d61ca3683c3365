"""Freed memory that stays in the process, measured by the pages the system has to hand out."""

import ctypes
import platform
import resource

import pytest
from helpers.runs import ROOT, finish, launch

from common.startup import keep_freed_memory

BLOCK = 2**26  # bytes; above 32 MiB, glibc asks the system for every block


COUNT = """
from test_memory import faults, keep_freed_memory
before = faults()
assert keep_freed_memory()
faults()
print(before, faults())
assert keep_freed_memory(False)
"""


def faults() -> int:
    """Pages handed out for five blocks, allocated, filled and freed one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    for _ in range(5):
        block = libc.malloc(BLOCK)
        ctypes.memset(block, 1, BLOCK)
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a switch of glibc")
def test_kept_memory_is_not_handed_out_again():
    """In a process of its own, whose memory nothing has kept before."""
    before, kept = map(
        int, finish(launch("-c", COUNT, PYTHONPATH=f"{ROOT}:{ROOT / 'tests/common'}:{ROOT / 'tests'}")).split()
    )
    assert 10 * kept < before


def test_without_the_switch_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()
