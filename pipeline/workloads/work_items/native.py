"""The loops of `loops.c`, if they were compiled when the package was built."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.workloads.work_items.columns import FEATURES

#: Where the build puts the library.
LIBRARY = Path(__file__).with_name("_loops.so")

_INTEGER, _BYTES, _ARRAY = ctypes.c_longlong, ctypes.c_char_p, ctypes.c_void_p

#: The refusals of all items, and the columns of those that are kept, as in `packed`. A
#: refusal is a place in REFUSALS of the stage's module, counted from 1, or else 0.
Computed = tuple[Sequence[int], dict[str, bytes]]


class NativeLoops:
    """Machine code for a batch: one call computes all items, one after the other.

    Columns of doubles are bytes, as in `packed`, and must be as long as sizes say.

    Args:
        library: The compiled `loops.c`.

    Raises:
        OSError: It can't be loaded.
    """

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        self._work = loaded.work
        self._work.argtypes = (ctypes.c_double, _INTEGER)
        self._work.restype = ctypes.c_double
        self._parse, self._rules = loaded.parse, loaded.rules
        for loop, columns in ((self._parse, 3), (self._rules, 5)):
            integers, refusals = [_ARRAY] * 2, _ARRAY
            outputs = [_ARRAY] * columns
            loop.argtypes = (_INTEGER, *integers, *[_BYTES] * 3, refusals, *outputs)
            loop.restype = None

    def work(self, value: float, iterations: int) -> float:
        """Return what `arithmetic.work` does."""
        total: float = self._work(value, iterations)
        return total

    def parse(
        self, size: Sequence[int], iterations: Sequence[int], *columns: bytes
    ) -> Computed:
        """Parse items, given first, second and matrix; see `parse.parse`."""
        return _over_items(self._parse, _parsed_lengths, size, iterations, columns)

    def rules(
        self, size: Sequence[int], iterations: Sequence[int], *columns: bytes
    ) -> Computed:
        """Score items, given normalised, matrix and checksum; see `rules.rules`."""
        return _over_items(self._rules, _scored_lengths, size, iterations, columns)


def native_loops(library: Path = LIBRARY) -> NativeLoops | None:
    """Return the compiled loops; None if there are none for this machine."""
    try:
        return NativeLoops(library)
    except OSError:
        return None


#: What the stages use.
LOOPS = native_loops()


# The lengths of the output columns, in their order in `loops.c`.


def _parsed_lengths(sizes: Sequence[int]) -> dict[str, int]:
    return {
        "normalised": 2 * sum(sizes),
        "matrix": sum(size * size for size in sizes),
        "checksum": len(sizes),
    }


def _scored_lengths(sizes: Sequence[int]) -> dict[str, int]:
    count = len(sizes)
    return {
        "mean": count,
        "deviation": count,
        "features": FEATURES * count,
        "matrix_total": count,
        "score": count,
    }


def _over_items(
    loop: Any,
    lengths: Callable[[Sequence[int]], dict[str, int]],
    size: Sequence[int],
    iterations: Sequence[int],
    inputs: Sequence[bytes],
) -> Computed:
    sizes, terms = array("q", size), array("q", iterations)
    refusals = array("b", bytes(len(sizes)))
    columns = {
        name: array("d", [0.0]) * length for name, length in lengths(sizes).items()
    }
    loop(
        len(sizes),
        _address(sizes),
        _address(terms),
        *inputs,
        _address(refusals),
        *map(_address, columns.values()),
    )
    if any(refusals):
        kept = [n for n, refused in zip(sizes, refusals, strict=True) if not refused]
        columns = {name: columns[name][:end] for name, end in lengths(kept).items()}
    return refusals, {name: column.tobytes() for name, column in columns.items()}


def _address(values: array[Any]) -> int:
    return values.buffer_info()[0]
