"""Make work items from a seed: equal seeds give equal items on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.v1.work_items_pb2 import WorkItems, WorkItemSource
from pipeline.workloads.work_items.packed import append_packed


class ItemMaker:
    """Makes the items of a source in order; their ids count from 1."""

    def __init__(self, source: WorkItemSource) -> None:
        self._source = source
        # numpy keeps the streams of bit generators stable between versions, but not
        # those of its distributions.
        self._bits = np.random.PCG64(source.seed)
        self._made = 0

    def skip(self, count: int) -> None:
        """Go on behind the next ``count`` items, at the cost of none."""
        self._bits.advance(count * self._columns)
        self._made += count

    @property
    def _columns(self) -> int:
        size = self._source.size
        return 2 * size + size * size

    def next_items(self, records: Sequence[int]) -> WorkItems:
        """Return the next items, with the record numbers ``records``.

        The items do not depend on the numbers.
        """
        count, size = len(records), self._source.size
        ids = range(self._made + 1, self._made + 1 + count)
        self._made += count
        columns = self._columns
        values = self._values(count * columns).reshape(count, columns)
        items = WorkItems(
            record=records,
            id=ids,
            size=[size] * count,
            text=[_text(id_, self._source) for id_ in ids],
            iterations=[self._source.iterations] * count,
        )
        append_packed(
            items,
            first=values[:, :size].tobytes(),
            second=values[:, size : 2 * size].tobytes(),
            matrix=values[:, 2 * size :].tobytes(),
        )
        return items

    def _values(self, count: int) -> NDArray[np.float64]:
        """Return the next values, from -10 to below 10.

        The upper 53 of each 64 random bits are an integer k. The value is
        (k − 2^52) · (20 / 2^53), rounded once. Their bytes are in protobuf's order.
        """
        upper = self._bits.random_raw(count) >> np.uint64(11)
        centred = (upper.astype(np.int64) - 2**52).astype("<f8")
        centred *= 20 / 2**53
        return centred


def bytes_of_an_item(source: WorkItemSource) -> int:
    """Return the bytes of the largest item of a source in a message."""
    numbers = 2 * source.size + source.size * source.size
    text = len(_text(source.records, source))
    # Record, id, size, iterations and the length of the text are varints.
    return 8 * numbers + text + 10 + 10 + 5 + 5 + 2


def _text(id_: int, source: WorkItemSource) -> str:
    return f"item {id_:08d} of seed {source.seed:08d}"
