"""Describe how the output of a stage differs from the expected one."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from google.protobuf.message import Message

from pipeline.stages import Output
from pipeline.v1.pipeline_pb2 import Rejection
from pytest_pipeline.records.payloads import exact_bytes, shown


def difference_of(expected: Output[Any], found: Output[Any]) -> str:
    """Describe the first difference, counts first; return "" if there is none."""
    return (
        counts_difference(expected, found)
        or rejections_difference(expected, found)
        or payload_difference(expected, found)
    )


def counts_difference(expected: Output[Any], found: Output[Any]) -> str:
    """Describe how the counts differ; return "" if they are equal."""
    one, other = (
        (output.records, output.filtered, len(output.rejections))
        for output in (expected, found)
    )
    if one == other:
        return ""
    return "; ".join(
        f"{name} must be {wanted}, is {is_}"
        for name, wanted, is_ in zip(
            ("records", "filtered", "rejections"), one, other, strict=True
        )
        if wanted != is_
    )


def rejections_difference(expected: Output[Any], found: Output[Any]) -> str:
    """Describe the first rejection that differs; return "" if none does."""
    for one, other in zip_longest(expected.rejections, found.rejections):
        if one != other:
            return f"must reject {_rejection(one)}, rejects {_rejection(other)}"
    return ""


def payload_difference(expected: Output[Any], found: Output[Any]) -> str:
    """Describe the first value that differs; return "" if the payloads are equal.

    Payloads are equal if their bytes are: 0.0 and −0.0 differ.
    """
    one, other = expected.message, found.message
    if exact_bytes(one) == exact_bytes(other):
        return ""
    return _field_difference(one, other, one.DESCRIPTOR.name)


def _field_difference(one: Message, other: Message, name: str) -> str:
    for field in one.DESCRIPTOR.fields:
        left, right = getattr(one, field.name), getattr(other, field.name)
        here = f"{name}.{field.name}"
        if field.is_repeated:
            for position, (wanted, is_) in enumerate(zip_longest(left, right)):
                if _text(wanted) != _text(is_):
                    return (
                        f"{here}[{position}] must be {_text(wanted)}, is {_text(is_)}"
                    )
        elif field.message_type is not None:
            inside = _field_difference(left, right, here)
            if inside:
                return inside
        elif _text(left) != _text(right):
            return f"{here} must be {_text(left)}, is {_text(right)}"
    return ""


def _text(value: object) -> str:
    """Show a value; different values have different texts, 0.0 and −0.0 too."""
    if value is None:
        return "nothing"
    return f"{{{shown(value)}}}" if isinstance(value, Message) else repr(value)


def _rejection(rejection: Rejection | None) -> str:
    if rejection is None:
        return "nothing"
    field = rejection.field and f" ({rejection.field})"
    return f"record {rejection.record} as {rejection.reason or 'no reason'}{field}"
