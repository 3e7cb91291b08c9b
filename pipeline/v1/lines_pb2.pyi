from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class LineSource(_message.Message):
    __slots__ = ("path", "max_line_bytes")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MAX_LINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    path: str
    max_line_bytes: int
    def __init__(self, path: _Optional[str] = ..., max_line_bytes: _Optional[int] = ...) -> None: ...

class Lines(_message.Message):
    __slots__ = ("first_record", "text", "too_long")
    FIRST_RECORD_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOO_LONG_FIELD_NUMBER: _ClassVar[int]
    first_record: int
    text: bytes
    too_long: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, first_record: _Optional[int] = ..., text: _Optional[bytes] = ..., too_long: _Optional[_Iterable[int]] = ...) -> None: ...
