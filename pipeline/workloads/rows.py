"""Stage functions of one record, for those who do not think in columns.

They are slower: each record is a message of its own, and crosses each stage as one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from google.protobuf.message import Message

from pipeline.errors import UsageError
from pipeline.stages import Output, Refused, Stage, inspected, is_message_type
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.v1.rows_pb2 import Rows
from pipeline.workloads.lines import decoded, numbered_lines

Record = TypeVar("Record")
Row = TypeVar("Row", bound=Message)


def per_record(
    function: Callable[[Record], Row | None], name: str = ""
) -> Stage[Any, Rows]:
    """Make a stage of a function of one record, from its name and its annotations.

    The function takes a line, as ``str``, or a message, and returns a message. Where it
    returns None, the record is filtered; where it raises `Refused`, rejected. The stage
    takes Lines or Rows, and returns Rows.

    Raises UsageError where the annotations do not say so.
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
        return Stage(name, Lines, Rows, of_lines)

    def numbered_rows(rows: Rows) -> Iterator[tuple[int, bytes]]:
        _check_type(rows, takes)
        return zip(rows.record, rows.row, strict=True)

    return Stage(
        name, Rows, Rows, _OfEach(function, returns, numbered_rows, takes.FromString)
    )


@dataclass(frozen=True, slots=True)
class _OfEach(Generic[Row]):
    """Applies a function to each record of a batch."""

    function: Callable[[Any], Row | None]
    returns: type[Row]
    #: Yields record numbers, and records as they are in the batch.
    records: Callable[[Any], Iterator[tuple[int, Any]]]
    #: Makes of such a record what the function takes.
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
    """Yield the rows as messages; raise ValueError if they are of another type."""
    _check_type(rows, message_type)
    return map(message_type.FromString, rows.row)


def _check_type(rows: Rows, wanted: type[Message]) -> None:
    if rows.type != wanted.DESCRIPTOR.full_name:
        raise ValueError(
            f"takes rows of {wanted.DESCRIPTOR.full_name}, was sent rows of "
            f"{rows.type or 'no type'}"
        )
