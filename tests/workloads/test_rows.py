"""Stage functions of one record."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.stages import Output, Refused
from pipeline.v1.events_pb2 import Amounts, Events
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Commit, Rejection, Target
from pipeline.v1.rows_pb2 import Rows
from pipeline.workloads.rows import messages, per_record


def target(line: str) -> Target | None:
    """Filter comments, reject blank lines, raise for a bang."""
    if line.startswith("#"):
        return None
    if not line:
        raise Refused("blank_line", "path")
    if line == "!":
        raise ZeroDivisionError("bang")
    return Target(path=line)


def commit(message: Target) -> Commit:
    """Return the length of the path."""
    return Commit(batches=len(message.path))


LINES = Lines(first_record=5, text=b"a\r\n\n#\n\n\xff\nbc\n", too_long=[3])


def test_a_function_of_a_line_passes_filters_and_rejects() -> None:
    """Line ends are removed; lines that are not text are rejected before the call."""
    output = per_record(target)(LINES)

    assert output == Output(
        Rows(
            type="pipeline.v1.Target",
            record=[5, 10],
            row=[Target(path=path).SerializeToString() for path in ("a", "bc")],
        ),
        records=2,
        filtered=1,
        rejections=[
            Rejection(record=6, reason="blank_line", field="path"),
            Rejection(record=8, reason="line_too_long"),
            Rejection(record=9, reason="not_utf8"),
        ],
    )


def test_a_function_of_a_message_takes_the_rows_of_another() -> None:
    """Rows keep their record numbers."""
    rows = per_record(commit)(per_record(target)(LINES).message).message

    assert list(rows.record) == [5, 10]
    assert list(messages(rows, Commit)) == [Commit(batches=1), Commit(batches=2)]


def test_a_stage_is_named_by_its_function() -> None:
    """Another name can be given."""
    assert per_record(target).name == "target"
    assert per_record(target, "parse").name == "parse"
    assert (per_record(target).takes, per_record(commit).takes) == (Lines, Rows)


def test_an_exception_has_a_note_with_the_record() -> None:
    """The function's message is unchanged."""
    with pytest.raises(ZeroDivisionError) as raised:
        per_record(target)(Lines(first_record=7, text=b"x\n!\n"))

    assert str(raised.value) == "bang"
    assert raised.value.__notes__ == ["in record 8"]


def test_a_message_of_another_type_is_an_error() -> None:
    """Both returned messages and received rows are checked."""

    def wrong(_: str) -> Commit:
        made: Any = Target()
        return made  # type: ignore[no-any-return]

    with pytest.raises(TypeError, match="returned Target, not Commit"):
        per_record(wrong)(Lines(first_record=1, text=b"x\n"))
    rows = per_record(target)(LINES).message
    with pytest.raises(
        ValueError, match=r"takes rows of pipeline\.v1\.Events, was sent"
    ):
        messages(rows, Events)
    with pytest.raises(ValueError, match=r"v1\.Target, was sent rows of no type"):
        per_record(commit)(Rows())


def test_columns_of_different_lengths_are_an_error() -> None:
    """No row is dropped silently."""
    rows = Rows(type="pipeline.v1.Target", record=[1, 2], row=[b""])

    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter"):
        per_record(commit)(rows)


def bare(line):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, D103
    return line


def two_kinds(line: str) -> Target | Commit:
    """Return one message or another."""
    return Target(path=line)


def of_bytes(line: bytes) -> Target:
    """Take bytes."""
    return Target(path=line.decode())


def columns(events: Events) -> Output[Amounts]:
    """Take a batch."""
    return Output(Amounts(), records=len(events.ts))


@pytest.mark.parametrize("function", [bare, two_kinds, of_bytes, columns])
def test_functions_without_the_right_annotations_are_refused(function: Any) -> None:
    """The error is raised when the stage is made, and names it."""
    with pytest.raises(
        UsageError, match=f"stage {function.__name__}: its function must be annotated"
    ):
        per_record(function)
