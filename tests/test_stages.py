"""Stages are made of functions, by their names and annotations."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, cast

import pytest

from pipeline.errors import UsageError
from pipeline.stages import Output, Refused, Stage, stage
from pipeline.v1.events_pb2 import Amounts, Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.workloads.events.rules import rules
from pipeline.workloads.rows import per_record


def test_a_stage_is_named_and_typed_by_its_function() -> None:
    """Name and message types come from the definition; another name can be given."""
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
    """Use an undefined name."""
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
def test_functions_that_are_not_stage_functions_are_refused(
    function: Any, message: str
) -> None:
    """The error is raised when the stage is made, also for functions of one record."""
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
def test_the_output_of_a_function_is_checked(returned: Any, message: str) -> None:
    """It must be an Output of the declared message type."""
    made = Stage("rules", Events, Amounts, lambda _: cast("Output[Amounts]", returned))

    with pytest.raises(TypeError, match=message):
        made(Events())


@pytest.mark.parametrize("reason", ["", "Bad", "no spaces", "_x", "x_", "x__y", "9a"])
def test_the_reason_of_a_rejection_must_be_a_code(reason: str) -> None:
    """Reports count rejections by reason, so free text is refused."""
    with pytest.raises(ValueError, match=re.escape(f"reason {reason!r}: must be in")):
        Refused(reason)
