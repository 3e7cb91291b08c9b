"""Sums in the order of operations that ``work_items.proto`` prescribes.

The built-in ``sum`` compensates for rounding errors and ``numpy.sum`` adds in another
order, so neither is used. numpy does the iterated work of one item at a time, so that
an item takes as much work in a batch of any size. The other sums are too short for it.
Where the package was built with a C compiler, `native` does all of this in parse and
rules, and `work` in aggregate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.workloads.work_items import native

#: Silences numpy in stage functions that reject what overflows.
no_warnings = np.errstate(over="ignore", invalid="ignore")

# Terms computed at once: few enough to stay in a core's cache.
_CHUNK = 1024


def left_to_right(values: Iterable[float]) -> float:
    """Return the sum, adding one value after the other to +0.0."""
    total = 0.0
    for value in values:
        total += value
    return total


def work(value: float, iterations: int) -> float:
    """Return the sum of ``value · c_i`` for i from 1 to ``iterations``.

    If it overflows, it is infinite or NaN, and numpy warns.
    """
    if native.LOOPS is not None:
        return native.LOOPS.work(value, iterations)
    total = 0.0
    for start in range(0, iterations, _CHUNK):
        terms = _factors(start)[: iterations - start] * value
        terms[0] += total
        total = float(np.add.accumulate(terms)[-1])
    return total


def work_on_each(values: Sequence[float], iterations: int) -> list[float]:
    """Return `work` of each of two or more values.

    numpy adds rows one after the other if there are two or more columns. It would add a
    single column pairwise.
    """
    lanes = np.array(values)
    totals = np.zeros(len(lanes))
    for start in range(0, iterations, _CHUNK):
        rows = _factors(start)[: iterations - start, np.newaxis] * lanes
        rows[0] += totals
        totals = np.add.reduce(rows, axis=0)
    each: list[float] = totals.tolist()
    return each


@lru_cache(maxsize=256)
def _factors(start: int) -> NDArray[np.float64]:
    """Return the next factors c_i = i · 0.001 after the first ``start``."""
    factors = np.arange(start + 1, start + 1 + _CHUNK, dtype=np.float64)
    factors *= 0.001
    factors.setflags(write=False)
    return factors
