"""The stage contract: stages from annotations, workloads that fit together."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, cast

import pytest

from pipeline.errors import UsageError
from pipeline.stages import Output, Refused, Stage, stage
from pipeline.v1.events_pb2 import Amounts, Events, Totals
from pipeline.v1.lines_pb2 import Lines
from pipeline.workload import Workload
from pipeline.workloads.events import EVENTS
from pipeline.workloads.events.rules import rules


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


def unknown(message: Lnies) -> Output[Lines]:  # type: ignore[name-defined] # noqa: F821
    """Take what there is not."""
    return cast("Output[Lines]", message)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (bare, "stage bare: its function must be annotated as one from a protobuf"),
        (no_output, "stage no_output: its function must be annotated"),
        (no_message, "stage no_message: its function must be annotated"),
        (unknown, "stage unknown: name 'Lnies' is not defined"),
    ],
)
def test_annotations_that_do_not_say_what_is_passed_are_refused(
    function: Any, message: str
) -> None:
    """When the stage is made, not when it runs."""
    with pytest.raises(UsageError, match=message):
        stage(function)


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

    for transforms in ((twice, twice), (replace(twice, name="sink"),)):
        with pytest.raises(UsageError, match=r"stage (same|sink): 2 stages have that"):
            replace(EVENTS, transforms=transforms)


def test_a_workload_knows_what_its_result_is_made_of() -> None:
    """The last stage's message, or the source's where there is no stage."""
    assert EVENTS.result_takes is Totals
    assert replace(EVENTS, transforms=()).result_takes is Lines
    assert isinstance(EVENTS, Workload)


@pytest.mark.parametrize("reason", ["", "Bad", "no spaces", "_x", "x_", "x__y", "9a"])
def test_a_reason_is_a_code(reason: str) -> None:
    """Reports count rejections by it, so it must not be free text."""
    with pytest.raises(ValueError, match=re.escape(f"reason {reason!r}: must be in")):
        Refused(reason)
