"""The iterated sums of `sums.c`, if they were compiled when the package was built."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from pathlib import Path

#: Where the build puts the library.
LIBRARY = Path(__file__).with_name("_sums.so")

_DOUBLES = ctypes.c_void_p


class NativeSums:
    """`arithmetic.work` and `arithmetic.work_on_each` as machine code.

    Args:
        library: The compiled `sums.c`.

    Raises:
        OSError: It can't be loaded.
    """

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        self._work = loaded.work
        self._work.argtypes = (ctypes.c_double, ctypes.c_longlong)
        self._work.restype = ctypes.c_double
        self._work_on_each = loaded.work_on_each
        self._work_on_each.argtypes = (
            *(_DOUBLES, ctypes.c_longlong, ctypes.c_longlong, _DOUBLES),
        )
        self._work_on_each.restype = None

    def work(self, value: float, iterations: int) -> float:
        """Return the sum of one value."""
        total: float = self._work(value, iterations)
        return total

    def work_on_each(self, values: Sequence[float], iterations: int) -> list[float]:
        """Return the sum of each value."""
        given = array("d", values)
        totals = array("d", given)
        start, count = given.buffer_info()
        self._work_on_each(start, count, iterations, totals.buffer_info()[0])
        return totals.tolist()


def native_sums(library: Path = LIBRARY) -> NativeSums | None:
    """Return the compiled sums; None if there are none for this machine."""
    try:
        return NativeSums(library)
    except OSError:
        return None
