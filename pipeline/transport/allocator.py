"""Keep the memory of batches in the process: Python's own, and that of glibc."""

from __future__ import annotations

import ctypes
import os
import sys

# mallopt(3): the free memory above which the end of the heap is given back, and the
# size from which a block is mapped on its own, and so given back when it is freed.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
# A batch of 10,000 events is about 1 MiB, and a stage holds a few copies of one. With
# four times as much, runs were no faster.
_TRIM_BYTES = 16 * 2**20
_MMAP_BYTES = 4 * 2**20

# CPython allocates objects of up to 512 bytes in arenas of 1 MiB (Objects/obmalloc.c),
# and gives an arena back to the kernel once nothing in it is used. The objects of
# 10,000 events take 5 MiB (tracemalloc).
_ARENAS_BYTES = 8 * 2**20
_ARENA_BYTES = 2**20
_OBJECT_BYTES = 512

_held: list[bytes] = []


def keep_freed_memory() -> None:
    """Keep freed memory for the next batch: 8 MiB of objects, and 16 MiB of messages.

    By default, Python and glibc give the memory of a large batch back to the kernel,
    and fault it in again with the next one.
    """
    if sys.implementation.name == "cpython" and not _held:
        _hold_arenas()
    # Where the environment tunes glibc's allocator, the user knows better.
    if is_glibc() and not any(
        name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ
    ):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)


def _hold_arenas() -> None:
    """Fill arenas with objects, and keep two in each, so that none is given back."""
    size = _OBJECT_BYTES - sys.getsizeof(b"")
    objects = [bytes(size) for _ in range(_ARENAS_BYTES // _OBJECT_BYTES)]
    _held.extend(objects[:: _ARENA_BYTES // _OBJECT_BYTES // 2])


def is_glibc() -> bool:
    """Return whether glibc is the C library of this process."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") is not None
    except (AttributeError, ValueError):
        # Windows has no confstr, and other C libraries do not know the name.
        return False
