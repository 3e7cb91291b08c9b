"""The compiled loops return the bits of Python and numpy, and nobody needs them."""

from __future__ import annotations

import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.stages import Output
from pipeline.v1.work_items_pb2 import ParsedItems, WorkItems
from pipeline.workloads.work_items import native
from pipeline.workloads.work_items.arithmetic import work
from pipeline.workloads.work_items.native import NativeLoops, native_loops
from pipeline.workloads.work_items.parse import parse
from pipeline.workloads.work_items.rules import rules
from pytest_pipeline import strategies
from tests.workloads.conftest import SOURCE
from tests.workloads.work_items import Item, message_of

#: Also those that overflow, underflow, or are no numbers.
values = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, 1.7e308, -1e-300])
#: numpy works in chunks of 1,024.
iterations = st.integers(0, 40) | st.sampled_from([1023, 1024, 1025, 2049])


def batch_of(items: list[WorkItems]) -> WorkItems:
    """Return a batch of single items, numbered from 1."""
    batch = WorkItems()
    for item in items:
        batch.MergeFrom(item)
    batch.record[:] = range(1, len(items) + 1)
    return batch


@st.composite
def parsed_items(draw: st.DrawFn) -> ParsedItems:
    """Generate what parse might send, and doubles that it never sends."""
    sizes = draw(st.lists(st.integers(1, 7), max_size=5))

    def column(length: int) -> list[float]:
        of = draw(st.sampled_from([st.floats(-1.0, 1.0), values]))
        return draw(st.lists(of, min_size=length, max_size=length))

    return ParsedItems(
        record=range(1, len(sizes) + 1),
        id=range(1, len(sizes) + 1),
        size=sizes,
        iterations=draw(st.lists(iterations, min_size=len(sizes), max_size=len(sizes))),
        normalised=column(2 * sum(sizes)),
        matrix=column(sum(size * size for size in sizes)),
        checksum=column(len(sizes)),
    )


def assert_same(
    loops: NativeLoops, stage: Callable[[Any], Output[Any]], message: Message
) -> None:
    """Compare what a stage returns with the loops and without, bit by bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "LOOPS", loops)
        compiled = stage(message)
        patch.setattr(native, "LOOPS", None)
        expected = stage(message)

    assert compiled.records == expected.records
    assert compiled.rejections == expected.rejections
    assert columns_of(compiled.message) == columns_of(expected.message)


def columns_of(message: Message) -> dict[str, list[Any]]:
    """Return all columns, with doubles as their bytes."""
    return {
        field.name: [
            bits(value) if isinstance(value, float) else value
            for value in getattr(message, field.name)
        ]
        for field in message.DESCRIPTOR.fields
    }


def bits(number: float) -> bytes:
    """Return the bytes of a double; those of any NaN are alike."""
    return b"NaN" if math.isnan(number) else struct.pack("d", number)


@given(items=st.lists(strategies.work_items(max_size=7), max_size=5))
@example(items=[])
def test_parse_returns_the_same_bits(
    loops: NativeLoops, items: list[WorkItems]
) -> None:
    """For items of any sizes and values, kept or rejected."""
    assert_same(loops, parse, batch_of(items))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@given(items=parsed_items())
@example(items=ParsedItems())
def test_the_rules_return_the_same_bits(loops: NativeLoops, items: ParsedItems) -> None:
    """For items of any sizes and values, kept or rejected."""
    assert_same(loops, rules, items)


@pytest.mark.parametrize("count", [0, 1, 500, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("size", [1, 4, 5, 6, 10, 11, 20])
def test_items_with_all_digits_in_use_have_the_same_bits(
    loops: NativeLoops, size: int, count: int
) -> None:
    """Whether or not the values fill the sums that are computed side by side."""
    vectors = [[math.sin(size * row + k) for k in range(size)] for row in range(size)]
    items = message_of([Item(vectors[0], vectors[-1], vectors, count)] * 2)

    assert_same(loops, parse, items)
    assert_same(loops, rules, parse(items).message)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(value=values, count=iterations)
def test_the_sum_of_a_value_has_the_same_bits(
    loops: NativeLoops, value: float, count: int
) -> None:
    """Whatever the value, over the chunks of numpy, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "LOOPS", None)
        expected = work(value, count)

    assert bits(loops.work(value, count)) == bits(expected)


def test_without_a_library_numpy_does_the_work(tmp_path: Path) -> None:
    """A wheel of pure Python has none, and one for another machine can't be loaded."""
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"of another machine")

    assert native_loops(tmp_path / "missing.so") is None
    assert native_loops(broken) is None


def test_the_build_goes_on_without_a_compiler(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why there are no compiled loops."""
    monkeypatch.setenv("CC", "no-such-compiler")

    reason = hook.compile_source(SOURCE, tmp_path / "loops.so")

    assert reason == "there is no C compiler"


def test_the_build_goes_on_where_doubles_have_another_order(
    hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loops read columns as they are in messages, which are little-endian."""
    monkeypatch.setattr("sys.byteorder", "big")

    reason = hook.compile_source(SOURCE, tmp_path / "loops.so")

    assert reason == "the processor is big-endian and columns are not"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_build_goes_on_if_the_compiler_fails(
    hook: ModuleType, tmp_path: Path
) -> None:
    """It says what the compiler has said."""
    wrong = tmp_path / "wrong.c"
    wrong.write_text("this is no C")

    reason = hook.compile_source(wrong, tmp_path / "loops.so")

    assert "failed: " in reason
    assert "wrong.c" in reason
