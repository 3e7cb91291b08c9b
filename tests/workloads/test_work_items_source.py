"""The source of `work-items`."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from hashlib import sha256
from itertools import islice
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import PCG64

from pipeline.batching import BatchLimits
from pipeline.errors import UsageError
from pipeline.stages import Output
from pipeline.v1.work_items_pb2 import WorkItems, WorkItemSource
from pipeline.workloads import workload_named
from pipeline.workloads.work_items import WORK_ITEMS, work_item_source
from pipeline.workloads.work_items.generate import item_lines
from pipeline.workloads.work_items.items import ItemMaker
from pipeline.workloads.work_items.source import PAYLOAD_SIZES


class NoInputs:
    """Inputs of a source that must open nothing."""

    def open(self, path: str) -> NoReturn:
        """Fail the test."""
        raise AssertionError(path)


def read(
    spec: WorkItemSource, limits: BatchLimits | None = None, max_records: int = 0
) -> list[Output[WorkItems]]:
    """Return all batches of a source."""
    limits = limits or BatchLimits()
    return list(WORK_ITEMS.source.read(spec, limits, max_records, NoInputs()))


def together(batches: list[Output[WorkItems]]) -> WorkItems:
    """Concatenate batches into one message."""
    items = WorkItems()
    for batch in batches:
        items.MergeFrom(batch.message)
    return items


@given(st.integers(0, 40), st.integers(1, 45), st.integers(0, 45))
def test_items_do_not_depend_on_the_batches(
    records: int, batch_size: int, max_records: int
) -> None:
    """They are in order, as many as wanted, in full batches."""
    spec = work_item_source(records, seed=3, payload_size="small")

    batches = read(spec, BatchLimits(batch_size), max_records)

    expected = min(records, max_records or records)
    assert [batch.records for batch in batches] == [
        min(batch_size, expected - at) for at in range(0, expected, batch_size)
    ]
    assert list(together(batches).record) == list(range(1, expected + 1))
    assert together(batches) == together(
        read(spec, BatchLimits(1), expected or 0)[:expected]
    )


def test_the_first_items_have_a_known_hash() -> None:
    """It is the same on every machine and with every version of numpy."""
    digest = sha256()
    for batch in read(work_item_source(20, seed=7), BatchLimits(1)):
        for name in ("first", "second", "matrix"):
            for value in getattr(batch.message, name):
                digest.update(value.hex().encode())
        digest.update("".join(batch.message.text).encode())

    assert (
        digest.hexdigest()
        == "0e1a05b572a0317b5e8b01a2ee2d6d0259d87a876371ade938e59ff7b02cd1cb"
    )


def test_values_are_computed_from_the_upper_bits_of_the_generator() -> None:
    """They follow the documented formula and are from -10 to below 10."""
    items = together(read(work_item_source(30, payload_size="large")))
    values = [*items.first, *items.second, *items.matrix]

    upper_bits = [raw >> 11 for raw in PCG64(1).random_raw(40).tolist()]
    expected = [float(Fraction(20 * (k - 2**52), 2**53)) for k in upper_bits]
    assert list(items.first[:20]) == expected[:20]
    assert list(items.second[:20]) == expected[20:]
    assert all(-10 <= value < 10 for value in values)
    assert min(values) < -9.99
    assert max(values) > 9.99
    assert len(set(values)) == len(values)


@pytest.mark.parametrize(("payload_size", "size"), PAYLOAD_SIZES.items())
def test_items_have_the_given_size_and_iterations(payload_size: str, size: int) -> None:
    """An item has two vectors of n, a matrix of n² and 20 to 40 characters of text."""
    items = together(read(work_item_source(3, 9, payload_size, 77)))

    assert list(items.size) == [size] * 3
    assert len(items.first) == len(items.second) == 3 * size
    assert len(items.matrix) == 3 * size**2
    assert list(items.iterations) == [77] * 3
    assert list(items.id) == [1, 2, 3]
    assert len(set(items.text)) == 3
    assert all(20 <= len(text) <= 40 for text in items.text)


def test_the_defaults_are_medium_items_of_500_iterations() -> None:
    """The seed is 1."""
    assert work_item_source(5) == work_item_source(5, 1, "medium", 500)
    assert work_item_source(5).size == 10
    assert work_item_source(5) != work_item_source(5, 2)


@given(st.integers(1, 20_000), st.sampled_from(list(PAYLOAD_SIZES)))
def test_batches_stay_within_the_byte_limit(limit: int, payload_size: str) -> None:
    """Only a batch of a single larger item exceeds it."""
    spec = work_item_source(30, 2**64 - 1, payload_size, 2**32 - 1)

    batches = read(spec, BatchLimits(bytes=limit))

    assert sum(batch.records for batch in batches) == 30
    for batch in batches:
        assert batch.records == 1 or batch.message.ByteSize() <= limit
    largest = max(batch.message.ByteSize() for batch in read(spec, BatchLimits(1)))
    assert batches[0].records >= min(30, limit // (largest + 40))


def test_record_numbers_do_not_change_the_items() -> None:
    """Items in a mixed stream are those of the source of work items."""
    spec = work_item_source(5, seed=4)
    maker = ItemMaker(spec)

    items = maker.next_items([3, 9])
    items.MergeFrom(maker.next_items([]))
    items.MergeFrom(maker.next_items([10, 70, 71]))

    assert list(items.record) == [3, 9, 10, 70, 71]
    items.record[:] = range(1, 6)
    assert items == together(read(spec))


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ((-1,), "records"),
        ((2**64,), "records"),
        ((1, -1), "seed"),
        ((1, 2**64), "seed"),
        ((1, 1, "huge"), "payload size 'huge'.*small, medium, large"),
        ((1, 1, "small", -1), "iterations"),
        ((1, 1, "small", 2**32), "iterations"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    settings: tuple[int, int, str, int], name: str
) -> None:
    """The error names the setting."""
    with pytest.raises(UsageError, match=name):
        work_item_source(*settings)


@pytest.mark.parametrize("size", [0, 1001])
def test_an_invalid_size_in_the_spec_is_refused(size: int) -> None:
    """The spec may come from another program."""
    with pytest.raises(UsageError, match=f"size {size}"):
        read(WorkItemSource(records=1, size=size))


def test_lines_are_the_items_as_json() -> None:
    """Each line is one object, with doubles in full precision."""
    lines = [json.loads(line) for line in item_lines(3, 5, "small", 9)]
    items = together(read(work_item_source(3, 5, "small", 9)))

    assert [line["id"] for line in lines] == [1, 2, 3]
    assert [value for line in lines for value in line["first"]] == items.first
    assert [value for line in lines for value in line["second"]] == items.second
    assert [
        value for line in lines for row in line["matrix"] for value in row
    ] == items.matrix
    assert {len(row) for line in lines for row in line["matrix"]} == {5}
    assert [line["text"] for line in lines] == items.text
    assert {line["iterations"] for line in lines} == {9}


def test_lines_are_made_lazily() -> None:
    """The first ones of 2^60 come at once."""
    assert len(list(islice(item_lines(2**60), 2))) == 2


def run_of(batch_size: int) -> bytes:
    """Return the result of 250 items in batches of that size."""
    accumulator = WORK_ITEMS.new_result()
    written = []
    for batch in read(work_item_source(250, iterations=20), BatchLimits(batch_size)):
        message = batch.message
        for stage in WORK_ITEMS.transforms:
            output = stage(message)
            assert output.records == batch.records
            message = output.message
        written.append(accumulator.add(message))
    assert accumulator.records == 250
    return b"".join([*written, accumulator.finish()])


def test_the_result_is_the_same_for_every_batch_size() -> None:
    """It is byte-identical: 250 items in order, and their totals."""
    one_by_one = run_of(1)

    assert run_of(7) == run_of(100) == one_by_one
    lines = [json.loads(line) for line in one_by_one.splitlines()]
    assert [line["id"] for line in lines[:-1]] == list(range(1, 251))
    assert lines[-1]["count"] == 250


def test_the_workload_is_found_by_its_name() -> None:
    """It has the five stages of the pipeline."""
    workload = workload_named("work-items")

    assert workload == WORK_ITEMS
    assert workload.stage_names == ("ingest", "parse", "rules", "aggregate", "sink")


def test_the_events_workload_imports_no_numpy() -> None:
    """Its import is slow and only work items need it."""
    code = (
        "import sys\n"
        "from pipeline.workloads import workload_named\n"
        "workload_named('events')\n"
        "assert 'numpy' not in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
