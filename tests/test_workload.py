"""The parts of a workload are checked when it is made."""

from __future__ import annotations

import abc
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.accumulator import Accumulator
from pipeline.errors import UsageError
from pipeline.publishing import Draft
from pipeline.result import ResultWriter
from pipeline.source import Source
from pipeline.stages import Output, Stage, stage
from pipeline.v1.events_pb2 import Totals
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.rules import rules
from pipeline.workloads.lines import LINES, read_lines


def workload(**fields: Any) -> Workload:
    """Return a workload of one stage, with some fields replaced."""
    right: dict[str, Any] = {
        "source": LINES,
        "transforms": (stage(numbered),),
        "new_result": Count,
    }
    return Workload(**{**right, **fields})


def numbered(lines: Lines) -> Output[Lines]:
    """Return the lines."""
    return Output(lines, records=lines.text.count(b"\n"))


class Count:
    """An accumulator of the number of lines."""

    def __init__(self) -> None:
        self.records = 0

    def add(self, lines: Lines, /) -> bytes:
        """Count the lines."""
        self.records += lines.text.count(b"\n")
        return b""

    def state(self) -> LineSource:
        """Return the count."""
        return LineSource(max_line_bytes=self.records)

    def merge(self, state: LineSource, /) -> None:
        """Add a count."""
        self.records += state.max_line_bytes

    def finish(self) -> bytes:
        """Return the count."""
        return b"%d\n" % self.records


class NoMerge(Count):
    """An accumulator without two methods."""

    state = merge = None  # type: ignore[assignment]


class OnlyInherits(Accumulator[Lines]):
    """An accumulator that implements no member."""


class Unfinished(Count, abc.ABC):
    """An abstract accumulator."""

    @abc.abstractmethod
    def finish(self) -> bytes:
        """Return the result."""


class NeedsWidth(Count):
    """An accumulator that needs an argument."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class NoRecords(Count):
    """An accumulator that does not count its records."""

    def __init__(self) -> None:
        pass

    def add(self, lines: Lines, /) -> bytes:
        """Return the text."""
        return lines.text


def no_luck() -> Count:
    """Raise an error."""
    raise ZeroDivisionError("no luck")


ALL_MEMBERS = "records and no add and no state and no merge and no finish"


@pytest.mark.parametrize(
    ("new_result", "message"),
    [
        (None, "is a NoneType; write the class of the accumulator, or a function"),
        (Count(), "is a Count; write the class"),
        (stage(numbered), "is the stage numbered; write the class"),
        (numbered, "numbered must take no arguments: missing a required argument"),
        (NeedsWidth, "NeedsWidth must take no arguments: missing a required argument"),
        (no_luck, r"no_luck\(\) raised ZeroDivisionError: no luck"),
        (NoMerge, "NoMerge has no state and no merge; write what pipeline.Accumulator"),
        (partial(NoMerge), "a NoMerge has no state and no merge; write"),
        (partial(NoRecords), "a NoRecords has no records; write"),
        (dict, "dict has no add and no state and no merge and no finish; write"),
        (OnlyInherits, f"OnlyInherits has no {ALL_MEMBERS}; write"),
        (Unfinished, "Unfinished has no finish; write"),
        (lambda: None, f"a NoneType has no {ALL_MEMBERS}; write"),
    ],
)
def test_a_result_without_the_members_of_an_accumulator_is_refused(
    new_result: Any, message: str
) -> None:
    """The error is one line that names all missing members."""
    with pytest.raises(UsageError, match=f"^new_result: {message}") as raised:
        workload(new_result=new_result)

    assert "\n" not in str(raised.value)


def test_the_class_of_an_accumulator_is_checked_without_making_one() -> None:
    """A function is called once, since only its accumulator can be checked."""
    made = []

    class Watched(Count):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    assert workload(new_result=Watched).new_result is Watched
    assert not made
    workload(new_result=partial(Watched))
    assert len(made) == 1


def test_an_accumulator_without_records_is_refused_when_a_run_starts(
    tmp_path: Path,
) -> None:
    """__init__ could set ``records``, so the class alone can't be refused."""
    made = workload(new_result=NoRecords)

    with (
        Draft(tmp_path / "result") as draft,
        pytest.raises(UsageError, match="the result: a NoRecords has no records;"),
    ):
        ResultWriter(made.new_result(), draft)


@pytest.mark.parametrize(
    ("transforms", "message"),
    [
        ((), r"has no stage; write transforms=\(stage\(function\),\)$"),
        ([], "has no stage; write"),
        (stage(numbered), "is the stage numbered, not a tuple; write .* with a comma$"),
        (None, "is a NoneType, not a tuple; write"),
        (iter([stage(numbered)]), "is a list_iterator, not a tuple; write"),
        (
            (numbered,),
            r"numbered is a function, not a Stage; write stage\(numbered\), or per_rec",
        ),
        ((stage(numbered), Count), "Count is the class Count, not a Stage; write"),
        ((partial(numbered),), "function is a partial, not a Stage; write"),
    ],
)
def test_transforms_other_than_stages_are_refused(
    transforms: Any, message: str
) -> None:
    """The error says what to write instead."""
    with pytest.raises(UsageError, match=f"^transforms: {message}"):
        workload(transforms=transforms)


def test_a_list_of_stages_becomes_a_tuple() -> None:
    """The workload can't be changed through the list."""
    made = stage(numbered)

    assert workload(transforms=[made]).transforms == (made,)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (read_lines, "is a function, not a Source; write LINES, or"),
        (LineSource(), "is a LineSource, not a Source; write LINES, or"),
        (Source, "is the class Source, not a Source; write LINES, or"),
    ],
)
def test_sources_other_than_a_source_are_refused(source: Any, message: str) -> None:
    """A function or a message alone is not enough."""
    with pytest.raises(UsageError, match=f"^source: {message}"):
        workload(source=source)


def test_errors_contain_the_name_of_the_workload() -> None:
    """A workload without a name has shorter errors."""
    with pytest.raises(UsageError, match=r"^workload events: transforms: has no stage"):
        replace(workload_named("events"), transforms=())


def test_stages_whose_messages_do_not_fit_are_refused() -> None:
    """The error names both stages and both messages."""
    parse, _, aggregate = EVENTS.transforms

    with pytest.raises(
        UsageError, match="stage aggregate takes Amounts, but parse returns Events"
    ):
        replace(EVENTS, transforms=(parse, aggregate))
    with pytest.raises(
        UsageError, match="stage rules takes Events, but ingest returns"
    ):
        replace(EVENTS, transforms=(stage(rules),))


def test_stage_names_must_be_unique() -> None:
    """The names ingest and sink are taken."""
    twice = Stage("same", Lines, Lines, lambda lines: Output(lines, records=0))

    with pytest.raises(UsageError, match="stage same: 2 stages have that name; write"):
        workload(transforms=(twice, twice))
    for name in ("ingest", "sink"):
        with pytest.raises(
            UsageError, match=f"stage {name}: every workload has one of that name; wri"
        ):
            workload(transforms=(replace(twice, name=name),))


def test_the_result_takes_the_message_of_the_last_stage() -> None:
    """It is known from the workload, without running it."""
    assert EVENTS.result_takes is Totals
    assert isinstance(EVENTS, Workload)
