"""Cutting bytes into batches of lines, whatever the blocks in which they come."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching import BatchLimits, LineBatch, LineBatcher, LiveLimits
from pipeline.errors import UsageError
from tests.clock import StandingClock

NO_LIMIT = 1 << 40

#: Streams with every kind of line end, and lines of few sizes so that limits matter.
streams = st.lists(
    st.sampled_from([b"", b"a", b"bb", b"cccc", b"dddddddd", b"\r", b"e\rf"]).flatmap(
        lambda line: st.sampled_from([line + b"\n", line + b"\r\n"])
    ),
    max_size=30,
).map(b"".join)
tails = st.sampled_from([b"", b"tail", b"tail\r", b"\r"])
#: How a slow stream comes: so many bytes, and then so many seconds of nothing.
drips = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=40)


def cut(
    stream: bytes,
    blocks: list[int] | None = None,
    *,
    records: int = 1000,
    size: int = NO_LIMIT,
    max_line: int = 1 << 20,
    max_records: int = 0,
) -> list[LineBatch]:
    """Feed ``stream`` in blocks of the given sizes (the rest in one) and collect."""
    batcher = LineBatcher(BatchLimits(records, size), max_line, max_records)
    edges = [0, *accumulate(blocks or []), len(stream)]
    batches: list[LineBatch] = []
    for start, end in pairwise(edges):
        batches += batcher.feed(stream[start:end] if start < end else b"")
    return batches + list(batcher.finish())


def drip(
    stream: bytes,
    drips: list[tuple[int, int]],
    limits: BatchLimits,
) -> Iterator[tuple[float, LineBatch | None, float]]:
    """Feed ``stream`` drop by drop, and the rest at once; ask after each pause.

    Yields the time, a batch and the seconds until the next is due, for each batch; and
    after each time of asking, without a batch.
    """
    clock = StandingClock()
    batcher = LineBatcher(limits, 1 << 20, clock=clock)
    for size, pause in drips:
        for batch in batcher.feed(stream[:size]):
            yield clock.now, batch, batcher.due_in_s()
        stream = stream[size:]
        clock.now += pause
        for batch in batcher.cut_due():
            yield clock.now, batch, batcher.due_in_s()
        yield clock.now, None, batcher.due_in_s()
    for batch in (*batcher.feed(stream), *batcher.finish()):
        yield clock.now, batch, batcher.due_in_s()


def lines_of(stream: bytes) -> list[bytes]:
    """Return the lines of a stream, as the definition has it."""
    lines = stream.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return lines


@given(streams, tails, st.integers(1, 7))
def test_batches_put_together_are_the_stream(
    stream: bytes, tail: bytes, records: int
) -> None:
    """No line is lost, doubled or moved, and the last one is ended by LF."""
    batches = cut(stream + tail, records=records)

    text = b"".join(batch.text for batch in batches)
    assert text == b"".join(line + b"\n" for line in lines_of(stream + tail))


@given(streams, tails, st.integers(1, 7))
def test_every_batch_but_the_last_is_full(
    stream: bytes, tail: bytes, records: int
) -> None:
    """There are exactly ceil(records / batch size) batches."""
    batches = cut(stream + tail, records=records)

    sizes = [batch.records for batch in batches]
    whole, rest = divmod(len(lines_of(stream + tail)), records)
    assert sizes == [records] * whole + [rest] * (rest > 0)


@given(streams, tails, st.integers(1, 7))
def test_batches_say_which_records_they_hold(
    stream: bytes, tail: bytes, records: int
) -> None:
    """Each starts where the one before ended, from 1, and has as many LF as records."""
    next_record = 1
    for batch in cut(stream + tail, records=records):
        assert batch.first_record == next_record
        assert batch.text.count(b"\n") == batch.records
        next_record += batch.records


@given(
    streams,
    tails,
    st.lists(st.integers(0, 9), max_size=40),
    st.integers(1, 7),
    st.integers(1, 20),
    st.integers(1, 9),
    st.integers(0, 9),
)
def test_the_blocks_make_no_difference(
    stream: bytes,
    tail: bytes,
    blocks: list[int],
    records: int,
    size: int,
    max_line: int,
    max_records: int,
) -> None:
    """A stream read byte by byte or in one gives the same batches, under all limits."""
    stream += tail
    total = 0
    fitting = [block for block in blocks if (total := total + block) <= len(stream)]

    in_blocks, in_one = (
        cut(
            stream,
            blocks,
            records=records,
            size=size,
            max_line=max_line,
            max_records=max_records,
        )
        for blocks in (fitting, None)
    )
    assert in_blocks == in_one


@given(streams, tails, st.integers(1, 12))
def test_a_batch_holds_no_more_bytes_than_its_limit(
    stream: bytes, tail: bytes, size: int
) -> None:
    """Only a single line can make a batch over it, and no room is wasted."""
    batches = cut(stream + tail, size=size)

    for batch in batches:
        assert len(batch.text) <= size or batch.records == 1
    for batch, following in pairwise(batches):
        first_line = following.text.index(b"\n") + 1
        assert len(batch.text) + first_line > size


@given(streams, tails, st.integers(1, 9))
def test_long_lines_are_emptied_and_named(
    stream: bytes, tail: bytes, max_line: int
) -> None:
    """A line is too long by its content, without its line end; the others are whole."""
    (batch,) = cut(b"x\n" + stream + tail, max_line=max_line)
    lines = lines_of(b"x\n" + stream + tail)

    too_long = [
        position
        for position, line in enumerate(lines)
        if len(line.removesuffix(b"\r")) > max_line
    ]
    for position in too_long:
        lines[position] = b""
    assert batch.too_long == too_long
    assert batch.text == b"".join(line + b"\n" for line in lines)


def test_a_line_end_cut_in_two_does_not_make_its_line_too_long() -> None:
    """CR at the end of one block and LF at the start of the next are one line end."""
    line = b"x" * 10

    (batch,) = cut(line + b"\r\n", [11], max_line=10)

    assert (batch.text, batch.too_long) == (line + b"\r\n", [])


def test_a_line_without_end_is_not_held_in_memory() -> None:
    """Of an endless line no more is kept than the limit, and it is one record."""
    batcher = LineBatcher(BatchLimits(), max_line_bytes=10)

    held = []
    for _ in range(100):
        assert list(batcher.feed(b"x" * 7)) == []
        held.append(batcher.held_bytes)

    assert max(held) <= 11
    (batch,) = batcher.finish()
    assert (batch.records, batch.text, batch.too_long) == (1, b"\n", [0])


@given(streams, tails, st.integers(1, 5), st.integers(1, 12))
def test_no_more_records_are_taken_than_asked_for(
    stream: bytes, tail: bytes, records: int, max_records: int
) -> None:
    """With a maximum, the batches hold the first records of the stream."""
    batches = cut(stream + tail, records=records, max_records=max_records)

    text = b"".join(batch.text for batch in batches)
    assert lines_of(text) == lines_of(stream + tail)[:max_records]


def test_the_batcher_says_when_it_needs_no_more() -> None:
    """``done`` turns true with the last record that is wanted, not before."""
    batcher = LineBatcher(BatchLimits(), 100, max_records=2)

    list(batcher.feed(b"a\n"))
    before = batcher.done
    list(batcher.feed(b"b\nc\n"))

    assert (before, batcher.done) == (False, True)


@pytest.mark.parametrize("limits", [(0, 1), (-1, 1), (1, 0)])
def test_limits_below_one_are_refused(limits: tuple[int, int]) -> None:
    """A batch can't be limited to nothing."""
    with pytest.raises(UsageError, match="must be 1 or more"):
        BatchLimits(*limits)


@given(streams, tails, drips, st.integers(1, 7), st.integers(1, 20), st.integers(1, 9))
def test_batches_that_linger_put_together_are_the_stream(
    stream: bytes,
    tail: bytes,
    drips: list[tuple[int, int]],
    records: int,
    size: int,
    linger: int,
) -> None:
    """Whether cut by records, bytes or time, no line is lost, and no batch is empty."""
    stream += tail
    batches = [
        batch
        for _, batch, _ in drip(stream, drips, BatchLimits(records, size, linger))
        if batch
    ]

    text = b"".join(batch.text for batch in batches)
    assert text == b"".join(line + b"\n" for line in lines_of(stream))
    next_record = 1
    for batch in batches:
        assert batch.first_record == next_record
        assert 1 <= batch.records == batch.text.count(b"\n") <= records
        assert len(batch.text) <= size or batch.records == 1
        next_record += batch.records


@given(streams, drips, st.integers(1, 7), st.integers(1, 9))
def test_a_batch_is_held_as_long_as_its_first_line_may_linger(
    stream: bytes, drips: list[tuple[int, int]], records: int, linger: int
) -> None:
    """No shorter, unless it is full or the last, and no longer once that is asked."""
    whole_at = times_of_lines(stream, drips)
    steps = list(drip(stream, drips, BatchLimits(records, NO_LIMIT, linger)))

    sent = 0
    for now, batch, due_in in steps:
        if batch:
            has_lingered = now >= whole_at[sent] + linger
            sent += batch.records
            assert has_lingered or batch.records == records or sent == len(whole_at)
        elif sent < len(whole_at) and whole_at[sent] < now:
            assert due_in == whole_at[sent] + linger - now > 0
        else:
            assert due_in == math.inf


def times_of_lines(stream: bytes, drips: list[tuple[int, int]]) -> list[float]:
    """Return when each line is whole; inf for those that come after the last pause."""
    times: list[float] = []
    now = 0
    for size, pause in drips:
        times += [now] * stream[:size].count(b"\n")
        stream = stream[size:]
        now += pause
    return times + [math.inf] * stream.count(b"\n")


@given(streams, tails, drips, st.integers(1, 7), st.sampled_from([None, 1000.0]))
def test_time_makes_no_difference_where_no_batch_lingers_so_long(
    stream: bytes,
    tail: bytes,
    drips: list[tuple[int, int]],
    records: int,
    linger: float | None,
) -> None:
    """Without a linger, or with a long one, every batch but the last is full."""
    limits = BatchLimits(records, NO_LIMIT, linger)
    steps = list(drip(stream + tail, drips, limits))

    batches = [batch for _, batch, _ in steps if batch]
    assert batches == cut(stream + tail, records=records)
    assert linger or {due_in for *_, due_in in steps} <= {math.inf}


def test_a_batch_that_lingered_out_is_cut_once() -> None:
    """After it nothing is due until another line has come, nor is there at the end."""
    clock = StandingClock()
    batcher = LineBatcher(BatchLimits(linger_s=2), 100, clock=clock)
    list(batcher.feed(b"a\n"))
    clock.now += 2

    (batch,) = batcher.cut_due()
    assert batch.text == b"a\n"
    clock.now += 100
    assert list(batcher.cut_due()) == []
    assert batcher.due_in_s() == math.inf
    assert list(batcher.finish()) == []


def test_a_line_lingers_only_once_it_is_whole() -> None:
    """However long its end is in coming, what is there of it is no record."""
    clock = StandingClock()
    batcher = LineBatcher(BatchLimits(linger_s=2), 100, clock=clock)

    list(batcher.feed(b"a"))
    clock.now += 100
    assert (batcher.due_in_s(), list(batcher.cut_due())) == (math.inf, [])
    list(batcher.feed(b"\nb"))
    assert (batcher.due_in_s(), list(batcher.cut_due())) == (2, [])
    clock.now += 2
    assert [batch.text for batch in batcher.cut_due()] == [b"a\n"]
    assert [batch.text for batch in batcher.finish()] == [b"b\n"]


def test_handing_on_a_batch_is_no_lingering_of_the_next() -> None:
    """A slow taker does not have the batches after it cut short."""
    clock = StandingClock()
    batcher = LineBatcher(BatchLimits(records=2, linger_s=3), 100, clock=clock)
    for batch in batcher.feed(b"a\nb\nc\n"):
        assert batch.records == 2
        clock.now += 100

    assert (batcher.due_in_s(), list(batcher.cut_due())) == (3, [])


@pytest.mark.parametrize("linger", [0, -1, math.inf, math.nan])
def test_a_linger_that_is_no_time_is_refused(linger: float) -> None:
    """It is a finite number of seconds; not to linger for ever is to have none."""
    with pytest.raises(UsageError, match=rf"linger {linger}: must be a finite number"):
        BatchLimits(linger_s=linger)


@given(
    lengths=st.lists(st.sampled_from([0, 1, 3, 200]), min_size=1, max_size=200),
    records=st.integers(17, 120),
    size=st.sampled_from([300, 2000, NO_LIMIT]),
)
def test_batches_of_many_lines_of_any_lengths_have_the_lines_that_fit(
    lengths: list[int], records: int, size: int
) -> None:
    """Each batch is as full as both limits let it, wherever its last line ends."""
    lines = [b"x" * length + b"\n" for length in lengths]

    batches = cut(b"".join(lines), records=records, size=size)

    taken = 0
    for batch in batches:
        own = lines[taken : taken + batch.records]
        taken += batch.records
        assert batch.text == b"".join(own)
        assert batch.records <= records
        assert len(batch.text) <= size or batch.records == 1
        if taken < len(lines):
            is_full = batch.records == records
            assert is_full or len(batch.text) + len(lines[taken]) > size
    assert taken == len(lines)


def test_a_batch_that_begins_with_a_line_over_the_limit_takes_no_other() -> None:
    """Also if the next line comes in another block."""
    batches = cut(b"four\n\n\n", [5], records=2, size=1)

    assert [batch.text for batch in batches] == [b"four\n", b"\n", b"\n"]


def test_live_limits_change_the_size_of_the_next_batch() -> None:
    """Also of a batch that has begun, if it has as many records already."""
    limits = LiveLimits(2, NO_LIMIT)
    batcher = LineBatcher(limits, 1 << 20)
    sizes = []
    for batch in batcher.feed(b"x\n" * 9):
        sizes.append(batch.records)
        limits.change(4, NO_LIMIT)
    limits.change(1, NO_LIMIT)
    sizes += [batch.records for batch in batcher.feed(b"x\n" * 2)]

    assert sizes == [2, 4, 3, 1, 1]


def test_live_limits_are_checked_when_they_change() -> None:
    """A limit below 1 is refused, and those before it stay."""
    limits = LiveLimits(2, 3)

    with pytest.raises(UsageError, match="batch size 0"):
        limits.change(0, 9)

    assert (limits.records, limits.bytes) == (2, 3)
