"""Freed memory stays in the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.transport.allocator import is_glibc

#: Prints the page faults of 50 batches.
BATCHES = """
import resource
from pipeline.transport.allocator import keep_freed_memory

keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def batch():
    size = BLOCK_BYTES
    blocks = [b"x" * size for _ in range(2**22 // size)]

batch()
before = faults()
for _ in range(50):
    batch()
print(faults() - before)
"""
#: The pages of a batch.
PAGES = 2**22 // os.sysconf("SC_PAGE_SIZE")
#: Blocks that the C library allocates, and those that Python does.
LARGE, SMALL = 2**19, 256

of_glibc = pytest.mark.skipif(not is_glibc(), reason="the C library is not glibc")
of_cpython = pytest.mark.skipif(
    sys.implementation.name != "cpython" or "PYTHONMALLOC" in os.environ,
    reason="objects are not in arenas of CPython",
)


def faults(block_bytes: int, **tuning: str) -> int:
    """Return the page faults of 50 batches of 4 MiB in a new process."""
    untuned = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }
    done = subprocess.run(
        [sys.executable, "-c", BATCHES.replace("BLOCK_BYTES", str(block_bytes))],
        env={**untuned, **tuning},
        capture_output=True,
        check=True,
        text=True,
    )
    return int(done.stdout)


@pytest.mark.parametrize(
    "block_bytes",
    [pytest.param(LARGE, marks=of_glibc), pytest.param(SMALL, marks=of_cpython)],
)
def test_the_memory_of_a_batch_is_there_for_the_next_one(block_bytes: int) -> None:
    """Pages are faulted in once, and not with each batch."""
    assert faults(block_bytes) < PAGES


@of_glibc
def test_tuning_of_the_users_own_stays() -> None:
    """Here that of giving all free memory back."""
    tuning = {"MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}

    assert faults(LARGE, **tuning) > 40 * PAGES
