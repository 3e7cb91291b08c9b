"""The contract as text, and the golden messages: what a change of it must not touch.

``python -m tests.wire.contract`` adds what is new: lines of the contract to
``contract_v1.txt``, and bytes to each golden text that has none. It takes nothing away
and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from google.protobuf import symbol_database, text_format
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    ServiceDescriptor,
)
from google.protobuf.message import Message

from pipeline.transport import wire

FOLDER = Path(__file__).parent
PROTO = FOLDER.parent.parent / "proto"
PROTOS = PROTO / "pipeline" / "v1"
LISTING = FOLDER / "contract_v1.txt"
GOLDEN = PROTO / "golden" / "messages"

_TYPES = {
    value: name.removeprefix("TYPE_").lower()
    for name, value in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}


def files() -> list[FileDescriptor]:
    """Return the files of the contract, by name."""
    names = sorted(path.stem for path in PROTOS.glob("*.proto"))
    return [import_module(f"pipeline.v1.{name}_pb2").DESCRIPTOR for name in names]


def lines() -> list[str]:
    """Return the contract, a line for each thing that a stage relies on."""
    found = [
        f"metadata {wire.TIMING_KEY}",
        f"metadata {wire.TRACEBACK_KEY}",
        f"method {wire.READ}",
        f"method {wire.PROCESS}",
        f"method {wire.WRITE}",
    ]
    for file in files():
        for service in file.services_by_name.values():
            found += _of_service(service)
        for enum in file.enum_types_by_name.values():
            found += _of_enum(enum)
        for message in _with_nested(file.message_types_by_name.values()):
            found += _of_message(message)
            for enum in message.enum_types:
                found += _of_enum(enum)
    return found


def message_types() -> dict[str, type[Message]]:
    """Return every message of the contract, by its full name."""
    pool: Any = symbol_database.Default()
    return {
        message.full_name: pool.GetSymbol(message.full_name)
        for file in files()
        for message in file.message_types_by_name.values()
    }


def golden_texts() -> list[Path]:
    """Return the golden messages as text; a name starts with that of its type."""
    return sorted(GOLDEN.glob("*.txtpb"))


def type_of(golden: Path) -> type[Message]:
    """Return the type of a golden message, named ``Type.what-is-special.txtpb``."""
    return message_types()[f"pipeline.v1.{golden.name.partition('.')[0]}"]


def _of_service(service: ServiceDescriptor) -> Iterator[str]:
    for method in service.methods:
        takes = "stream " * method.client_streaming + method.input_type.full_name
        gives = "stream " * method.server_streaming + method.output_type.full_name
        yield f"rpc {method.full_name} ({takes}) returns ({gives})"


def _of_enum(enum: EnumDescriptor) -> Iterator[str]:
    for value in enum.values:
        yield f"enum {enum.full_name} {value.name} = {value.number}"


def _with_nested(messages: Iterable[Descriptor]) -> Iterator[Descriptor]:
    for message in messages:
        yield message
        yield from _with_nested(message.nested_types)


def _of_message(message: Descriptor) -> Iterator[str]:
    yield f"message {message.full_name}"
    for field in message.fields:
        kind = field.message_type or field.enum_type
        parts = [
            "repeated " * field.is_repeated + _TYPES[field.type],
            kind.full_name if kind else "",
            "packed" if field.is_packed else "",
            f"of {field.containing_oneof.name}" if field.containing_oneof else "",
        ]
        says = " ".join(filter(None, parts))
        yield f"field {message.full_name} {field.number} {field.name}: {says}"


def add_what_is_new() -> None:
    """Extend the listing and make missing bytes; see the top of this module."""
    listed = LISTING.read_text().splitlines() if LISTING.exists() else []
    added = [line for line in lines() if line not in listed]
    LISTING.write_text("".join(f"{line}\n" for line in sorted([*listed, *added])))
    for text in golden_texts():
        encoded = text.with_suffix(".binpb")
        if not encoded.exists():
            message = text_format.Parse(text.read_text(), type_of(text)())
            encoded.write_bytes(message.SerializeToString(deterministic=True))


if __name__ == "__main__":
    add_what_is_new()
