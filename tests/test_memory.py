"""Freed memory that stays in the process, measured by the pages the system has to hand out."""

import ctypes
import resource
import sys

import pytest

from training import keep_freed_memory

BLOCK = 2**26  # bytes; above 32 MiB, glibc asks the system for every block


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


@pytest.mark.skipif(sys.platform != "linux", reason="a switch of glibc")
def test_kept_memory_is_not_handed_out_again():
    if not keep_freed_memory():
        pytest.skip("not glibc")
    try:
        faults()
        kept = faults()
    finally:
        assert keep_freed_memory(False)
    assert 10 * kept < faults()


def test_without_the_switch_nothing_happens(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not keep_freed_memory()
