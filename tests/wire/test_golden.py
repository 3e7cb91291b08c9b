"""Old stages stay right: the contract only grows, and its bytes are what they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import text_format

from tests.wire.contract import (
    LISTING,
    golden_texts,
    lines,
    message_types,
    type_of,
)

HOW = "python -m tests.wire.contract adds what is new"

each_golden = pytest.mark.parametrize(
    "text", golden_texts(), ids=lambda path: path.stem
)

#: A field that no message has, as text and as a number.
LATER = b"\xc2\x3e\x05later" + b"\xc8\x3e\x07"


def test_nothing_of_the_contract_is_gone_or_changed() -> None:
    """A stage that was written for v1 relies on each of these lines."""
    listed = LISTING.read_text().splitlines()

    assert [line for line in listed if line not in lines()] == []


def test_what_is_new_is_listed() -> None:
    """So that from then on it is relied upon."""
    listed = LISTING.read_text().splitlines()

    assert [line for line in lines() if line not in listed] == [], HOW
    assert listed == sorted(set(listed))


@pytest.mark.parametrize("name", message_types())
def test_each_message_has_a_golden_one_with_every_field(name: str) -> None:
    """Only bytes show how a field travels."""
    message_type = message_types()[name]
    shown = {
        field.name
        for text in golden_texts()
        if type_of(text) is message_type
        for field, _ in text_format.Parse(text.read_text(), message_type()).ListFields()
    }

    assert shown == {field.name for field in message_type.DESCRIPTOR.fields}, HOW


@each_golden
def test_golden_bytes_are_read_as_they_were(text: Path) -> None:
    """What an old stage sends means what it meant."""
    expected = text_format.Parse(text.read_text(), type_of(text)())

    found = type_of(text).FromString(text.with_suffix(".binpb").read_bytes())

    assert text_format.MessageToString(found) == text_format.MessageToString(expected)


@each_golden
def test_golden_bytes_are_written_as_they_were(text: Path) -> None:
    """What an old stage is sent looks as it looked, on every version of protobuf."""
    message = text_format.Parse(text.read_text(), type_of(text)())

    encoded = text.with_suffix(".binpb").read_bytes()

    assert message.SerializeToString(deterministic=True) == encoded, HOW


@each_golden
def test_a_field_of_a_later_contract_changes_nothing_else(text: Path) -> None:
    """It is passed over."""
    encoded = text.with_suffix(".binpb").read_bytes()
    message = type_of(text).FromString(encoded + LATER)
    message.DiscardUnknownFields()

    assert message.SerializeToString(deterministic=True) == encoded
