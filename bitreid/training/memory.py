"""Keeping freed memory, which makes training on a CPU faster."""

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # names of glibc's mallopt, from malloc.h


def keep_freed_memory() -> bool:
    """Return whether the allocator now keeps what is freed (glibc only; elsewhere nothing changes).

    glibc gives blocks of more than 32 MiB back to the system when they are freed, and the next step faults them in
    again, page by page. (Setting only MALLOC_TRIM_THRESHOLD_ or MALLOC_TOP_PAD_ makes that worse: glibc then stops
    adapting, and gives back all blocks of more than 128 KiB.)
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26, _ARENA_MAX: 1}
    return all(libc.mallopt(name, value) == 1 for name, value in settings.items())
