from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class FillerSource(_message.Message):
    __slots__ = ("records", "batches", "sizes")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    records: int
    batches: int
    sizes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, records: _Optional[int] = ..., batches: _Optional[int] = ..., sizes: _Optional[_Iterable[int]] = ...) -> None: ...

class Filler(_message.Message):
    __slots__ = ("records", "sizes", "body")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    records: int
    sizes: _containers.RepeatedScalarFieldContainer[int]
    body: bytes
    def __init__(self, records: _Optional[int] = ..., sizes: _Optional[_Iterable[int]] = ..., body: _Optional[bytes] = ...) -> None: ...
