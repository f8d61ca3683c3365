"""Memory that one step frees for the next."""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # names of parameters in glibc's malloc.h
FOREVER = 2**31 - 1
USUAL = {MMAP_MAX: 65536, MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26}  # where glibc's own adjusting ends up


def keep_freed_memory(keep: bool = True) -> bool:
    """Have the process keep the memory that it frees, or (`keep` false) return large blocks to the system again.

    On a CPU, glibc returns every block above 32 MiB and gets it back page by page, each cleared and mapped anew: up to
    a seventh of a training step. The process then stays as large as it has ever been.

    Returns:
        Whether there is such a switch; only glibc has it.
    """
    try:
        set_parameter = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc, or (TypeError) Windows
        return False
    settings = {MMAP_MAX: 0, TRIM_THRESHOLD: FOREVER} if keep else USUAL
    accepted = [set_parameter(name, value) for name, value in settings.items()]
    return all(accepted)
