"""Stage functions of one record.

They are easier to write than functions of a batch, and slower, since each record is
encoded and decoded as a message of its own in every stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from google.protobuf.message import Message

from pipeline.errors import UsageError
from pipeline.stages import (
    Output,
    Refused,
    Stage,
    cut_columns,
    inspected,
    is_message_type,
)
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.v1.rows_pb2 import Rows
from pipeline.workloads.lines import decoded, numbered_lines

Record = TypeVar("Record")
Row = TypeVar("Row", bound=Message)


def per_record(
    function: Callable[[Record], Row | None], name: str = ""
) -> Stage[Any, Rows]:
    """Return the transform stage of a function of one record; also a decorator.

    The function returns a message. If it returns None, the record is filtered. If it
    raises `Refused`, the record is rejected.

    The stage returns `Rows`. It takes `Lines` if the function takes a ``str``, and
    otherwise `Rows`.

    Args:
        function: Its parameter is annotated with ``str`` or a protobuf message type,
            its return value with a protobuf message type or a union of that and None.
        name: The stage's name; the function's own if empty.

    Raises:
        UsageError: The annotations are missing or of other types, or the function does
            not take one argument.

    Example::

        def routes(request: Request) -> Hit | None: ...

        routes_stage = per_record(routes)
    """
    name, takes, returns = inspected(function, name)
    if get_origin(returns) in (Union, UnionType):
        kinds = [kind for kind in get_args(returns) if kind is not NoneType]
        returns = kinds[0] if len(kinds) == 1 else None
    if not ((takes is str or is_message_type(takes)) and is_message_type(returns)):
        raise UsageError(
            f"stage {name}: its function must be annotated as one from str or a "
            f"protobuf message to another, or None"
        )
    if takes is str:
        of_lines = _OfEach(function, returns, numbered_lines, decoded)
        return Stage(name, Lines, Rows, of_lines, cut_columns)

    def numbered_rows(rows: Rows) -> Iterator[tuple[int, bytes]]:
        _check_type(rows, takes)
        return zip(rows.record, rows.row, strict=True)

    of_rows = _OfEach(function, returns, numbered_rows, takes.FromString)
    return Stage(name, Rows, Rows, of_rows, cut_columns)


@dataclass(frozen=True, slots=True)
class _OfEach(Generic[Row]):
    """A stage function that calls ``function`` for each record of a batch."""

    function: Callable[[Any], Row | None]
    returns: type[Row]
    #: Yields the number of each record, and the record as it is in the batch.
    records: Callable[[Any], Iterator[tuple[int, Any]]]
    #: Converts such a record to what the function takes.
    decode: Callable[[Any], Any]

    def __call__(self, batch: Message) -> Output[Rows]:
        __tracebackhide__ = True
        rows = Rows(type=self.returns.DESCRIPTOR.full_name)
        rejections: list[Rejection] = []
        given = 0
        for record, encoded in self.records(batch):
            given += 1
            try:
                row = self.function(self.decode(encoded))
                if row is not None:
                    rows.row.append(self._serialized(row))
                    rows.record.append(record)
            except Refused as refused:
                rejections.append(refused.rejection(record))
            except Exception as error:
                error.add_note(f"in record {record}")
                raise
        passed = len(rows.row)
        filtered = given - passed - len(rejections)
        return Output(rows, passed, filtered, rejections)

    def _serialized(self, row: Row) -> bytes:
        __tracebackhide__ = True
        if not isinstance(row, self.returns):
            raise TypeError(
                f"returned {type(row).__name__}, not {self.returns.__name__}"
            )
        return row.SerializeToString()


def messages(rows: Rows, message_type: type[Row]) -> Iterator[Row]:
    """Return an iterator over the records in ``rows``.

    Args:
        rows: A batch that a `per_record` stage has returned.
        message_type: The type of its records.

    Raises:
        ValueError: The records are of another type.
    """
    _check_type(rows, message_type)
    return map(message_type.FromString, rows.row)


def _check_type(rows: Rows, wanted: type[Message]) -> None:
    if rows.type != wanted.DESCRIPTOR.full_name:
        raise ValueError(
            f"takes rows of {wanted.DESCRIPTOR.full_name}, was sent rows of "
            f"{rows.type or 'no type'}"
        )
