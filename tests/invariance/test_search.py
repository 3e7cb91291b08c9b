"""Searching for streams whose result depends on how work is divided."""

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
from pytest_pipeline.records import samples
from pytest_pipeline.records.streams import Stream, parse_partition


def with_stage(function: Callable[..., Output[Any]], name: str) -> Workload:
    """Return the events workload with one stage replaced."""
    made = stage(function, name)
    return replace(
        EVENTS,
        transforms=tuple(
            made if one.name == name else one for one in EVENTS.transforms
        ),
    )


def with_result(result: type[TotalsByType]) -> Workload:
    """Return the events workload with its result replaced."""
    return replace(EVENTS, new_result=result)


def names_by_position(lines: Lines) -> Output[Events]:
    """Rename the second user of each batch."""
    output = parse(lines)
    if output.records > 1:
        output.message.user[1] = "somebody"
    return output


def loses_the_last_rejection(lines: Lines) -> Output[Events]:
    """Drop the last rejection of a batch with two or more."""
    output = parse(lines)
    rejections = list(output.rejections)
    if len(rejections) > 1:
        rejections.pop()
    return Output(output.message, output.records, output.filtered, rejections)


def empties_what_it_is_given(events: Events) -> Output[Amounts]:
    """Clear the input message."""
    output = rules(events)
    events.Clear()
    return output


_calls = count(1)


def counts_calls(amounts: Amounts) -> Output[Totals]:
    """Return a different sum for each call."""
    output = aggregate(amounts)
    for total in output.message.totals:
        total.sum = next(_calls).to_bytes(8)
    return output


def raises_at_a_purchase(events: Events) -> Output[Amounts]:
    """Raise ZeroDivisionError for a batch with a purchase."""
    if 3 in events.type:
        raise ZeroDivisionError("no luck")
    return rules(events)


class ForgetsToMerge(TotalsByType):
    """Replaces its state when another is merged."""

    def merge(self, totals: Totals, /) -> None:
        """Replace the state."""
        self._totals.clear()
        super().merge(totals)

    def add(self, totals: Totals, /) -> bytes:
        """Add correctly."""
        TotalsByType.merge(self, totals)
        return b""


class OrdersItsState(TotalsByType):
    """Serialises equal states differently, by the order of the events."""

    def state(self) -> Totals:
        """Keep the order in which the types came."""
        totals = super().state()
        order = list(self._totals)
        rows = sorted(totals.totals, key=lambda total: order.index(total.type))
        return Totals(totals=rows)


class CountsWhatIsReplayed(TotalsByType):
    """Counts one purchase more after it is restored."""

    def merge(self, totals: Totals, /) -> None:
        """Count a purchase twice while restoring."""
        super().merge(totals)
        for total in totals.totals:
            if total.type == 3 and self._restoring:
                self._totals[total.type] = (total.count + 1, 0)

    _restoring = True

    def add(self, totals: Totals, /) -> bytes:
        """Add correctly."""
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
        (with_result(ForgetsToMerge), "distributed", "distributed must give what"),
        (with_result(CountsWhatIsReplayed), "distributed", "distributed must give"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_violation_is_found_by_its_property(
    workload: Workload, prop: str, finding: str
) -> None:
    """The error has the difference, the smallest stream and a command."""
    searched = next(one for one in properties_of(workload) if str(one) == prop)

    with pytest.raises(InvarianceError, match=finding) as raised:
        searched.search(workload)

    text = str(raised.value)
    assert "the smallest stream, of" in text
    assert "python -m pytest_pipeline.invariance events --property" in text


@pytest.mark.parametrize("workload", BUILT_IN)
def test_the_built_in_workloads_have_every_property(
    workload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten streams each, and the sample repeated a little, do not find a violation."""
    monkeypatch.setattr(samples, "LONG", 300)
    found = workload_named(workload)

    for prop in properties_of(found):
        prop.search(found, examples=10)


def test_the_failing_stream_is_shrunk_to_two_records() -> None:
    """Two records and one cut between them are enough for this violation."""
    workload = with_stage(names_by_position, "parse")

    with pytest.raises(InvarianceError) as raised:
        Property("partition", "parse").search(workload)

    assert "the smallest stream, of 2 records" in str(raised.value)
    assert "cut after: 1\n" in str(raised.value)


def test_the_printed_command_repeats_the_failure(tmp_path: Path) -> None:
    """Another process prints the same message about the smallest stream."""
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
    command = first.stderr.split("to see it again:\n  ")[1].splitlines()[0].split()
    again = invariance(*command[3:])

    assert first.returncode == again.returncode == 1
    assert first.stderr.startswith(again.stderr)
    assert "1 records of data repeated to 2,100: not the same" in first.stderr
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
def test_an_unknown_property_or_stage_is_a_usage_error(
    prop: Property, message: str
) -> None:
    """The error lists the valid names."""
    with pytest.raises(UsageError, match=message):
        prop.search(EVENTS)


def test_a_users_workload_that_reads_an_input_needs_data() -> None:
    """Only the built-in workloads have records without an input."""
    mine = replace(EVENTS, name="mine:MINE")

    with pytest.raises(UsageError, match="reads an input, and there is none"):
        Property("merge").search(mine)


def test_a_stream_is_equal_after_encoding_and_decoding() -> None:
    """A word that is not an encoded stream is a usage error."""
    stream = Stream((Lines(first_record=1, text=b"\xff\0\n"), Lines(too_long=[0])))

    assert Stream.decode(stream.encode(), Lines) == stream
    with pytest.raises(UsageError, match="is not one of Lines"):
        Stream.decode("nonsense", Lines)


@pytest.mark.parametrize("text", ["0", "1,", "a", "-1", "1,,2"])
def test_a_partition_with_other_than_positive_sizes_is_refused(text: str) -> None:
    """The error says what to write."""
    with pytest.raises(UsageError, match="must be sizes from 1"):
        parse_partition(text)
