"""Streams of records, and ways of cutting them into batches.

A stream holds its records as its source would send them at batch size 1, so that it can
be cut anywhere, not only at every n-th record.
"""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

from google.protobuf import proto, text_format
from google.protobuf.message import DecodeError, Message

from pipeline.errors import UsageError
from pipeline.stages import Output
from pipeline.v1.lines_pb2 import Lines
from pipeline.v1.mixed_pb2 import MixedRecords
from pipeline.v1.work_items_pb2 import WorkItems

M = TypeVar("M", bound=Message)

#: Sizes of the first batches of a stream; what is left of it is one batch more.
Cutting = tuple[int, ...]

_SHOWN_CHARACTERS = 500


@dataclass(frozen=True)
class Stream:
    """Records in order, each as the payload of a batch of its own."""

    payloads: tuple[Message, ...]

    def __len__(self) -> int:
        return len(self.payloads)

    def __str__(self) -> str:
        """Show one record a line, by its position from 1."""
        return "\n".join(
            f"{number}: {shown(payload)}"
            for number, payload in enumerate(self.payloads, 1)
        )

    def cut(self, cutting: Cutting) -> list[Output[Any]]:
        """Return the batches; none where there are no records.

        Raises UsageError where the records can't be put into one batch, or a size is
        below 1.
        """
        if any(size < 1 for size in cutting):
            raise UsageError(f"cutting {cutting}: sizes must be 1 or more")
        batches = []
        left = self.payloads
        for size in (*cutting, len(left)):
            taken, left = left[:size], left[size:]
            if taken:
                batches.append(Output(joined(taken), records=len(taken)))
        return batches

    def encode(self) -> str:
        """Return the stream as one word of letters, digits, "-", "_" and "="."""
        buffer = io.BytesIO()
        for payload in self.payloads:
            proto.serialize_length_prefixed(payload, buffer)
        return base64.urlsafe_b64encode(zlib.compress(buffer.getvalue(), 9)).decode()

    @classmethod
    def decode(cls, word: str, payload_type: type[Message]) -> Self:
        """Return the stream that `encode` made ``word`` of; raise UsageError if none.

        ``payload_type`` is what the source of its workload sends.
        """
        try:
            buffer = io.BytesIO(
                zlib.decompress(base64.b64decode(word, altchars=b"-_", validate=True))
            )
            payloads = []
            while (
                payload := proto.parse_length_prefixed(payload_type, buffer)
            ) is not None:
                payloads.append(payload)
        except (binascii.Error, zlib.error, DecodeError) as error:
            raise UsageError(
                f"stream {word[:20]!r}…: is not one of {payload_type.__name__}"
            ) from error
        return cls(tuple(payloads))


def parse_cutting(text: str) -> Cutting:
    """Read sizes of batches, such as "1,2"; raise UsageError for anything else."""
    words = text.split(",") if text else []
    if not all(word.isdecimal() and int(word) >= 1 for word in words):
        raise UsageError(f"cutting {text!r}: must be sizes from 1, such as 1,10,3")
    return tuple(map(int, words))


def joined(payloads: Sequence[M]) -> M:
    """Put payloads of consecutive batches together, in the order given; 1 or more.

    Columns are put end to end, and lines are lines of one text. Raises UsageError where
    another field has not the same value in all of them.
    """
    first = payloads[0]
    if isinstance(first, Lines):
        return cast("M", _joined_lines(cast("Sequence[Lines]", payloads)))
    whole = type(first)()
    for field in first.DESCRIPTOR.fields:
        values = [getattr(payload, field.name) for payload in payloads]
        if field.is_repeated:
            for column in values:
                getattr(whole, field.name).MergeFrom(column)
        elif field.message_type is not None:
            getattr(whole, field.name).CopyFrom(joined(values))
        elif all(value == values[0] for value in values):
            setattr(whole, field.name, values[0])
        else:
            raise UsageError(
                f"{first.DESCRIPTOR.name}.{field.name}: is another in each batch, so "
                f"the batches can't be put together"
            )
    return whole


def emptied(payload: M) -> M:
    """Return a payload without its records: no columns, no lines, else as it was."""
    if isinstance(payload, Lines):
        return cast("M", Lines(first_record=payload.first_record))
    empty = type(payload)()
    for field, value in payload.ListFields():
        if field.is_repeated:
            continue
        if field.message_type is not None:
            getattr(empty, field.name).CopyFrom(emptied(value))
        else:
            setattr(empty, field.name, value)
    return empty


def _joined_lines(parts: Sequence[Lines]) -> Lines:
    whole = Lines(first_record=parts[0].first_record)
    before = 0
    for part in parts:
        whole.too_long.extend(before + position for position in part.too_long)
        before += part.text.count(b"\n")
    whole.text = b"".join(part.text for part in parts)
    return whole


def numbered(payloads: Iterable[Message]) -> Stream:
    """Make a stream of payloads of one record each, numbered from 1 in that order.

    Only where this package knows the payload; others keep the numbers that they have.
    """
    made = []
    lines = 0
    for record, payload in enumerate(payloads, 1):
        copy = type(payload)()
        copy.CopyFrom(payload)
        if isinstance(copy, Lines):
            copy.first_record = record
        elif isinstance(copy, WorkItems):
            copy.record[:] = [record]
        elif isinstance(copy, MixedRecords):
            copy.lines.first_record = lines + 1
            if copy.line_record:
                copy.line_record[:] = [record]
                lines += 1
            else:
                copy.items.record[:] = [record]
        made.append(copy)
    return Stream(tuple(made))


def shown(message: Message) -> str:
    """Show a message in one line, cut where it is long."""
    if isinstance(message, Lines):
        if message.too_long:
            return "(a line that was too long)"
        text = repr(message.text.removesuffix(b"\n"))[1:]
    else:
        text = text_format.MessageToString(message, as_one_line=True)
    if len(text) > _SHOWN_CHARACTERS:
        return f"{text[:_SHOWN_CHARACTERS]}… ({len(text):,} characters)"
    return text or "(empty)"
