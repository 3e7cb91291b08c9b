"""Columns of doubles as bytes, against the same columns as lists."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.v1.work_items_pb2 import ParsedItems, WorkItems
from pipeline.workloads.work_items.packed import append_packed, packed_doubles

columns = st.lists(st.floats(), max_size=3)
#: Lengths of 1, 2 and 3 bytes in the wire format begin with 0, 16 and 2,048 doubles.
lengths = st.sampled_from([15, 16, 2047, 2048]).map(lambda length: [0.1] * length)


def pack(values: list[float]) -> bytes:
    """Return the bytes of doubles, little-endian."""
    return struct.pack(f"<{len(values)}d", *values)


@given(first=columns | lengths, second=columns, matrix=columns | lengths)
@example(first=[], second=[], matrix=[])
@example(first=[], second=[-0.0], matrix=[])
def test_columns_are_read_as_they_were_set(
    first: list[float], second: list[float], matrix: list[float]
) -> None:
    """In the order asked for, with columns of integers and of text around them."""
    items = WorkItems(
        record=range(300),
        id=[2**64 - 1],
        first=first,
        second=second,
        matrix=matrix,
        text=["any"],
    )

    read = packed_doubles(items, "matrix", "first", "second")

    assert read == [pack(matrix), pack(first), pack(second)]


@given(normalised=columns | lengths, checksum=columns | lengths)
@example(normalised=[], checksum=[])
def test_columns_are_appended_as_if_they_were_lists(
    normalised: list[float], checksum: list[float]
) -> None:
    """After what the message had."""
    items = ParsedItems(record=[1], normalised=[0.5])

    append_packed(items, normalised=pack(normalised), checksum=pack(checksum))

    expected = ParsedItems(record=[1], normalised=[0.5, *normalised], checksum=checksum)
    assert items.SerializeToString() == expected.SerializeToString()


@pytest.mark.parametrize("first", [True, False])
def test_fields_of_a_later_version_are_skipped(*, first: bool) -> None:
    """Wherever they were in the message that arrived, and of any wire type."""
    unknown = b"\xf8\x06\x2a" + b"\xf1\x06" + bytes(8) + b"\xf5\x06" + bytes(4)
    known = ParsedItems(record=[1], checksum=[0.1]).SerializeToString()

    items = ParsedItems.FromString(unknown + known if first else known + unknown)

    assert packed_doubles(items, "checksum") == [pack([0.1])]


def test_a_column_that_arrives_in_parts_is_read_whole() -> None:
    """Protobuf lets a peer send a packed field more than once."""
    part = ParsedItems(checksum=[0.1]).SerializeToString()

    items = ParsedItems.FromString(part + part)

    assert packed_doubles(items, "checksum") == [pack([0.1, 0.1])]
