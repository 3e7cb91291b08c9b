"""Looking for streams for which something depends on how work is divided."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.stages import Output, stage
from pipeline.v1.events_pb2 import Amounts, Events, Totals
from pipeline.v1.lines_pb2 import Lines
from pipeline.workload import Workload
from pipeline.workloads import BUILT_IN, workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.aggregate import TotalsByType, aggregate
from pipeline.workloads.events.parse import parse
from pipeline.workloads.events.rules import rules
from pytest_pipeline.invariance import InvarianceError, Property, properties_of
from pytest_pipeline.records.streams import Stream, parse_partition


def with_stage(function: Callable[..., Output[Any]], name: str) -> Workload:
    """Return the events workload with another function in the place of one stage."""
    made = stage(function, name)
    return replace(
        EVENTS,
        transforms=tuple(
            made if one.name == name else one for one in EVENTS.transforms
        ),
    )


def with_result(result: type[TotalsByType]) -> Workload:
    """Return the events workload with another result."""
    return replace(EVENTS, new_result=result)


def names_by_position(lines: Lines) -> Output[Events]:
    """Call the second user of each batch something else."""
    output = parse(lines)
    if output.records > 1:
        output.message.user[1] = "somebody"
    return output


def loses_the_last_rejection(lines: Lines) -> Output[Events]:
    """Of two rejections in a batch, drop one."""
    output = parse(lines)
    rejections = list(output.rejections)
    if len(rejections) > 1:
        rejections.pop()
    return Output(output.message, output.records, output.filtered, rejections)


def empties_what_it_is_given(events: Events) -> Output[Amounts]:
    """Take the columns out of the message."""
    output = rules(events)
    events.Clear()
    return output


_calls = count(1)


def counts_calls(amounts: Amounts) -> Output[Totals]:
    """Give another sum each time."""
    output = aggregate(amounts)
    for total in output.message.totals:
        total.sum = next(_calls).to_bytes(8)
    return output


def raises_at_a_purchase(events: Events) -> Output[Amounts]:
    """Fail."""
    if 3 in events.type:
        raise ZeroDivisionError("no luck")
    return rules(events)


class ForgetsToMerge(TotalsByType):
    """Takes the state of another for its own."""

    def merge(self, totals: Totals, /) -> None:
        """Forget what was there."""
        self._totals.clear()
        super().merge(totals)

    def add(self, totals: Totals, /) -> bytes:
        """Add as ever."""
        TotalsByType.merge(self, totals)
        return b""


class OrdersItsState(TotalsByType):
    """Equal states are other bytes, by the order in which they came about."""

    def state(self) -> Totals:
        """Leave the order as it is."""
        totals = super().state()
        order = list(self._totals)
        rows = sorted(totals.totals, key=lambda total: order.index(total.type))
        return Totals(totals=rows)


class CountsWhatIsReplayed(TotalsByType):
    """Restored, it has a record more."""

    def merge(self, totals: Totals, /) -> None:
        """Count a purchase twice."""
        super().merge(totals)
        for total in totals.totals:
            if total.type == 3 and self._restoring:
                self._totals[total.type] = (total.count + 1, 0)

    _restoring = True

    def add(self, totals: Totals, /) -> bytes:
        """Add as ever."""
        self._restoring = False
        self.merge(totals)
        self._restoring = True
        return b""


@pytest.mark.parametrize(
    ("workload", "prop", "finding"),
    [
        (with_stage(names_by_position, "parse"), "partition-parse", "columns"),
        (with_stage(loses_the_last_rejection, "parse"), "partition-parse", "accounted"),
        (with_stage(empties_what_it_is_given, "rules"), "purity-rules", "changes the"),
        (with_stage(counts_calls, "aggregate"), "purity-aggregate", "given again"),
        (with_stage(raises_at_a_purchase, "rules"), "partition-rules", "no luck"),
        (with_result(ForgetsToMerge), "merge", "state"),
        (with_result(OrdersItsState), "merge", "either first"),
        (with_result(CountsWhatIsReplayed), "snapshot", "restored after"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_depends_on_the_division_is_found(
    workload: Workload, prop: str, finding: str
) -> None:
    """By its property, with the smallest stream and what is different about it."""
    searched = next(one for one in properties_of(workload) if str(one) == prop)

    with pytest.raises(InvarianceError, match=finding) as raised:
        searched.search(workload)

    text = str(raised.value)
    assert "the smallest stream, of" in text
    assert "python -m pytest_pipeline.invariance events --property" in text


@pytest.mark.parametrize("workload", BUILT_IN)
def test_ours_do_not_depend_on_it(workload: str) -> None:
    """Every property holds for the workloads of this project."""
    found = workload_named(workload)

    for prop in properties_of(found):
        prop.search(found, examples=30)


def test_the_smallest_stream_is_small() -> None:
    """Two records are needed for a second one in a batch, and one cut between them."""
    workload = with_stage(names_by_position, "parse")

    with pytest.raises(InvarianceError) as raised:
        Property("partition", "parse").search(workload)

    assert "the smallest stream, of 2 records" in str(raised.value)
    assert "cut after: 1\n" in str(raised.value)


def test_the_line_to_paste_repeats_a_failure(tmp_path: Path) -> None:
    """In another process, and with the same words; a whole workload is one line too."""
    (tmp_path / "mine.py").write_text(
        "from tests.invariance.test_search import names_by_position, with_stage\n"
        "from dataclasses import replace\n"
        "MINE = with_stage(names_by_position, 'parse')\n"
    )
    (tmp_path / "data").write_bytes(
        b'{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}\n'
    )

    def invariance(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest_pipeline.invariance", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=False,
        )

    first = invariance("mine:MINE", "--data", "data")
    command = first.stderr.split("to see it again:\n  ")[1].split()
    again = invariance(*command[3:])

    assert first.returncode == again.returncode == 1
    assert again.stderr == first.stderr
    assert command[:3] == ["python", "-m", "pytest_pipeline.invariance"]


@pytest.mark.parametrize(
    ("prop", "message"),
    [
        (
            Property("partition", "pares"),
            "stage 'pares': workload events has transform",
        ),
        (Property("merge", "parse"), "property merge: is not of one stage"),
        (Property("partitions"), "property 'partitions': there is partition, purity"),
    ],
    ids=str,
)
def test_a_property_that_there_is_not_is_wrong_usage(
    prop: Property, message: str
) -> None:
    """The error says what there is."""
    with pytest.raises(UsageError, match=message):
        prop.search(EVENTS)


def test_a_workload_that_reads_needs_an_input() -> None:
    """Ours have records of their own; a user's are taken from what it reads."""
    mine = replace(EVENTS, name="mine:MINE")

    with pytest.raises(UsageError, match="reads an input, and there is none"):
        Property("merge").search(mine)


def test_a_stream_survives_the_word_that_stands_for_it() -> None:
    """Encoded and decoded, it is the same records; other words are refused."""
    stream = Stream((Lines(first_record=1, text=b"\xff\0\n"), Lines(too_long=[0])))

    assert Stream.decode(stream.encode(), Lines) == stream
    with pytest.raises(UsageError, match="is not one of Lines"):
        Stream.decode("nonsense", Lines)


@pytest.mark.parametrize("text", ["0", "1,", "a", "-1", "1,,2"])
def test_a_partition_is_sizes_from_one(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(UsageError, match="must be sizes from 1"):
        parse_partition(text)
