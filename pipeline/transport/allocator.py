"""Keep the memory of batches in the process, under glibc's allocator."""

from __future__ import annotations

import ctypes
import os

# mallopt(3): the free memory above which the end of the heap is given back, and the
# size from which a block is mapped on its own, and so given back when it is freed.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# A batch of 10,000 events is about 1 MiB, and a stage holds a few copies of one. With
# four times as much, runs were no faster.
_TRIM_BYTES = 16 * 2**20
_MMAP_BYTES = 4 * 2**20


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next batch, up to 16 MiB.

    By default, it gives the memory of a large message back to the kernel with each
    batch, and faults it in again with the next one. Does nothing where glibc is not the
    C library, or where the environment tunes its allocator.
    """
    if not is_glibc() or any(
        name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ
    ):
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
    mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)


def is_glibc() -> bool:
    """Return whether glibc is the C library of this process."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") is not None
    except (AttributeError, ValueError):
        # Windows has no confstr, and other C libraries do not know the name.
        return False
