"""The stage contract: stages from annotations, workloads that fit together."""

from __future__ import annotations

import abc
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.errors import UsageError
from pipeline.publishing import Draft
from pipeline.result import Accumulator, ResultWriter
from pipeline.source import Source
from pipeline.stages import Output, Refused, Stage, stage
from pipeline.v1.events_pb2 import Amounts, Events, Totals
from pipeline.v1.lines_pb2 import Lines, LineSource
from pipeline.workload import Workload
from pipeline.workloads import workload_named
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.rules import rules
from pipeline.workloads.lines import LINES, read_lines
from pipeline.workloads.rows import per_record


def test_a_stage_is_named_and_typed_by_its_function() -> None:
    """Name, message in and message out come from the definition."""
    made = stage(rules)

    assert (made.name, made.takes, made.returns) == ("rules", Events, Amounts)
    assert stage(rules, "other").name == "other"
    assert made(Events()) == Output(Amounts(), records=0)


def bare(message):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, D103
    return message


def no_output(message: Lines) -> Lines:
    """Return the message alone."""
    return message


def no_message(text: str) -> Output[Lines]:
    """Take text."""
    return Output(Lines(text=text.encode()), records=1)


def yields(message: Lines) -> Output[Lines]:  # type: ignore[misc]
    """Yield the output."""
    yield Output(message, records=1)


async def waits(message: Lines) -> Output[Lines]:
    """Return the output later."""
    return Output(message, records=1)


def takes_two(message: Lines, other: Lines) -> Output[Lines]:
    """Take two messages."""
    return Output(message, records=len(other.too_long))


def takes_none() -> Output[Lines]:
    """Take nothing."""
    return Output(Lines(), records=1)


def unknown(message: Lnies) -> Output[Lines]:  # type: ignore[name-defined] # noqa: F821
    """Take what there is not."""
    return cast("Output[Lines]", message)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bare, "stage bare: its function must be annotated as one from a protobuf"),
        (no_output, "stage no_output: its function must be annotated"),
        (no_message, "stage no_message: its function must be annotated"),
        (unknown, "stage unknown: name 'Lnies' is not defined; an annotation must be"),
        (yields, "stage yields: its function is a generator; return one value, don't"),
        (waits, "stage waits: its function is async; write def"),
        (takes_two, "stage takes_two: its function must take one argument: missing a"),
        (takes_none, "stage takes_none: its function must take one argument: too many"),
        (partial(no_output), "stage: a partial has no name; write stage"),
        (7, "stage: 7 is not a function"),
        (stage(rules), "stage rules: is a stage already; use it as it is"),
    ],
)
def test_functions_that_are_no_stage_functions_are_refused(
    function: Any, message: str
) -> None:
    """When the stage is made, not when it runs; of one record too."""
    with pytest.raises(UsageError, match=message):
        stage(function)
    if "annotated" not in message:
        with pytest.raises(UsageError, match=message):
            per_record(function)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (7, "returned int, not Output"),
        (Output(Events(), records=0), "returned Output of Events, not of Amounts"),
    ],
)
def test_what_a_function_returns_is_checked(returned: Any, message: str) -> None:
    """A function that is not checked by its types is by its results."""
    made = Stage("rules", Events, Amounts, lambda _: cast("Output[Amounts]", returned))

    with pytest.raises(TypeError, match=message):
        made(Events())


def workload(**fields: Any) -> Workload:
    """Make a workload of one stage, with other fields than the right ones."""
    right: dict[str, Any] = {
        "source": LINES,
        "transforms": (stage(numbered),),
        "new_result": Count,
    }
    return Workload(**{**right, **fields})


def numbered(lines: Lines) -> Output[Lines]:
    """Pass the lines on."""
    return Output(lines, records=lines.text.count(b"\n"))


class Count:
    """The number of lines."""

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
    """Two methods were forgotten."""

    state = merge = None  # type: ignore[assignment]


class OnlyInherits(Accumulator[Lines]):
    """Has the members of the protocol, and none does anything."""


class Unfinished(Count, abc.ABC):
    """Is abstract."""

    @abc.abstractmethod
    def finish(self) -> bytes:
        """Return the result."""


class NeedsWidth(Count):
    """Can't be made without an argument."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class NoRecords(Count):
    """Does not count."""

    def __init__(self) -> None:
        pass

    def add(self, lines: Lines, /) -> bytes:
        """Return the text."""
        return lines.text


def no_luck() -> Count:
    """Fail."""
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
    """When the workload is made; the error names all that is missing."""
    with pytest.raises(UsageError, match=f"^new_result: {message}") as raised:
        workload(new_result=new_result)

    assert "\n" not in str(raised.value)


def test_the_class_of_an_accumulator_is_checked_without_making_one() -> None:
    """A function is called once, since there is no other way to check it."""
    made = []

    class Watched(Count):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    assert workload(new_result=Watched).new_result is Watched
    assert not made
    workload(new_result=partial(Watched))
    assert len(made) == 1


def test_a_class_whose_objects_do_not_count_is_refused_when_a_run_starts(
    tmp_path: Path,
) -> None:
    """Its __init__ might have set ``records``, so the class alone proves nothing."""
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
def test_transforms_that_are_not_stages_are_refused(
    transforms: Any, message: str
) -> None:
    """With what to write instead."""
    with pytest.raises(UsageError, match=f"^transforms: {message}"):
        workload(transforms=transforms)


def test_a_list_of_stages_becomes_a_tuple() -> None:
    """So that nobody can change the workload afterwards."""
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
def test_a_source_that_is_not_a_source_is_refused(source: Any, message: str) -> None:
    """A function or a message alone does not say what a run needs to know."""
    with pytest.raises(UsageError, match=f"^source: {message}"):
        workload(source=source)


def test_a_workload_that_has_a_name_is_named_in_its_errors() -> None:
    """So that the error is of use where many workloads are made."""
    with pytest.raises(UsageError, match=r"^workload events: transforms: has no stage"):
        replace(workload_named("events"), transforms=())


def test_stages_that_do_not_fit_make_no_workload() -> None:
    """The error names both, and what each would have of the other."""
    parse, _, aggregate = EVENTS.transforms

    with pytest.raises(
        UsageError, match="stage aggregate takes Amounts, but parse returns Events"
    ):
        replace(EVENTS, transforms=(parse, aggregate))
    with pytest.raises(
        UsageError, match="stage rules takes Events, but ingest returns"
    ):
        replace(EVENTS, transforms=(stage(rules),))


def test_two_stages_can_not_have_one_name() -> None:
    """A stage is found by its name; ingest and sink are taken."""
    twice = Stage("same", Lines, Lines, lambda lines: Output(lines, records=0))

    with pytest.raises(UsageError, match="stage same: 2 stages have that name; write"):
        workload(transforms=(twice, twice))
    for name in ("ingest", "sink"):
        with pytest.raises(
            UsageError, match=f"stage {name}: every workload has one of that name; wri"
        ):
            workload(transforms=(replace(twice, name=name),))


def test_a_workload_knows_what_its_result_is_made_of() -> None:
    """The last stage's message."""
    assert EVENTS.result_takes is Totals
    assert isinstance(EVENTS, Workload)


@pytest.mark.parametrize("reason", ["", "Bad", "no spaces", "_x", "x_", "x__y", "9a"])
def test_a_reason_is_a_code(reason: str) -> None:
    """Reports count rejections by it, so it must not be free text."""
    with pytest.raises(ValueError, match=re.escape(f"reason {reason!r}: must be in")):
        Refused(reason)
