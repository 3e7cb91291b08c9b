"""The parts of work items together have the items of the whole source."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching import BatchLimits
from pipeline.inputs import Inputs
from pipeline.stages import Output
from pipeline.v1.work_items_pb2 import WorkItems
from pipeline.workloads.work_items.source import (
    divide_items,
    read_item_part,
    read_items,
    work_item_source,
)


@given(
    st.integers(0, 300),
    st.integers(1, 2**64 - 1),
    st.integers(0, 300),
    st.integers(1, 40),
    st.sampled_from([1, 1000, 1 << 20]),
)
def test_parts_have_the_batches_of_the_source(
    records: int, seed: int, max_records: int, batch_records: int, batch_bytes: int
) -> None:
    """The generator is advanced to where a part begins; limits of bytes count too."""
    spec = work_item_source(records, seed, "small", iterations=0)
    limits = BatchLimits(batch_records, batch_bytes)
    expected = list(read_items(spec, limits, max_records, Inputs()))

    parts = divide_items(spec, limits, max_records, map)

    assert len(parts) > 1 or len(expected) <= 2
    outputs: list[Output[WorkItems]] = []
    for part in parts:
        assert part.first_batch == len(outputs)
        outputs += list(read_item_part(spec, limits, part))
    assert outputs == expected
