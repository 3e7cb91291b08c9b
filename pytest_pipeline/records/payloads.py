"""Payload messages: put together, emptied, compared and shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

from google.protobuf import text_format
from google.protobuf.message import Message

from pipeline.errors import UsageError
from pipeline.v1.lines_pb2 import Lines

M = TypeVar("M", bound=Message)

_SHOWN_CHARACTERS = 500


def joined(payloads: Sequence[M]) -> M:
    """Put the payloads of consecutive batches together.

    Columns are put end to end, and lines become lines of one text.

    Args:
        payloads: one or more, in the order of their batches.

    Raises:
        UsageError: a field that is not a column differs between the payloads.
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


def _joined_lines(parts: Sequence[Lines]) -> Lines:
    whole = Lines(first_record=parts[0].first_record)
    before = 0
    for part in parts:
        whole.too_long.extend(before + position for position in part.too_long)
        before += part.text.count(b"\n")
    whole.text = b"".join(part.text for part in parts)
    return whole


def emptied(payload: M) -> M:
    """Return a copy without records: no columns and no lines, all else unchanged."""
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


def exact_bytes(message: Message) -> bytes:
    """Serialise a message so that equal bytes mean equal values; 0.0 is not −0.0."""
    return message.SerializeToString(deterministic=True)


def shown(message: Message) -> str:
    """Show a message in one line of at most about 500 characters."""
    if isinstance(message, Lines):
        if message.too_long:
            return "(a line that was too long)"
        text = repr(message.text.removesuffix(b"\n"))[1:]
    else:
        text = text_format.MessageToString(message, as_one_line=True)
    if len(text) > _SHOWN_CHARACTERS:
        return f"{text[:_SHOWN_CHARACTERS]}… ({len(text):,} characters)"
    return text or "(empty)"
