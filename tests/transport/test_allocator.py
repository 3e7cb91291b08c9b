"""Freed memory stays in the process under glibc."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.transport.allocator import is_glibc

#: Prints the page faults of 50 batches, each of eight blocks of 512 KiB.
BATCHES = """
import resource
from pipeline.transport.allocator import keep_freed_memory

keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def batch():
    blocks = [b"x" * 2**19 for _ in range(8)]

batch()
before = faults()
for _ in range(50):
    batch()
print(faults() - before)
"""
#: The pages of the blocks of a batch.
PAGES = 8 * 2**19 // os.sysconf("SC_PAGE_SIZE")

pytestmark = pytest.mark.skipif(not is_glibc(), reason="the C library is not glibc")


def faults(**tuning: str) -> int:
    """Return the page faults of 50 batches in a new process."""
    untuned = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name != "GLIBC_TUNABLES"
    }
    done = subprocess.run(
        [sys.executable, "-c", BATCHES],
        env={**untuned, **tuning},
        capture_output=True,
        check=True,
        text=True,
    )
    return int(done.stdout)


def test_the_memory_of_a_batch_is_there_for_the_next_one() -> None:
    """Pages are faulted in once, and not with each batch."""
    assert faults() < PAGES


def test_tuning_of_the_users_own_stays() -> None:
    """Here that of giving all free memory back."""
    assert (
        faults(MALLOC_TRIM_THRESHOLD_="0", MALLOC_MMAP_THRESHOLD_="65536") > 40 * PAGES
    )
