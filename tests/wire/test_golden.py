"""Old stages stay right: the contract only grows, and its bytes are what they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from google.protobuf import text_format
from google.protobuf.any_pb2 import Any

from pipeline.transport.wire import pack, unpack
from pipeline.v1.events_pb2 import Amounts
from pipeline.v1.pipeline_pb2 import Batch
from tests.wire import contract
from tests.wire.contract import (
    GOLDEN,
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

    assert shown == {field.name for field in message_type.DESCRIPTOR.fields}, (
        f"write proto/golden/messages/{message_type.DESCRIPTOR.name}.txtpb with every "
        f"field; {HOW}"
    )


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


def test_a_payload_is_packed_as_it_was() -> None:
    """Its type is named as old stages know it."""
    golden = Batch.FromString((GOLDEN / "Batch.binpb").read_bytes()).payload
    packed = Any()

    pack(unpack(golden, Amounts), into=packed)

    assert packed == golden


def test_the_command_only_adds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps a line that the contract has lost, and bytes that are wrong."""
    golden = shutil.copytree(GOLDEN, tmp_path / "golden")
    listing = tmp_path / "contract.txt"
    listing.write_text("message pipeline.v1.Gone\n")
    (golden / "Total.binpb").write_bytes(b"wrong")
    (golden / "Batch.binpb").unlink()
    monkeypatch.setattr(contract, "GOLDEN", golden)
    monkeypatch.setattr(contract, "LISTING", listing)

    contract.add_what_is_new()

    assert listing.read_text().splitlines() == sorted(
        [*lines(), "message pipeline.v1.Gone"]
    )
    assert (golden / "Total.binpb").read_bytes() == b"wrong"
    assert (golden / "Batch.binpb").read_bytes() == (
        GOLDEN / "Batch.binpb"
    ).read_bytes()
