from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reading(_message.Message):
    __slots__ = ("sensor", "millidegrees")
    SENSOR_FIELD_NUMBER: _ClassVar[int]
    MILLIDEGREES_FIELD_NUMBER: _ClassVar[int]
    sensor: str
    millidegrees: int
    def __init__(self, sensor: _Optional[str] = ..., millidegrees: _Optional[int] = ...) -> None: ...

class Summaries(_message.Message):
    __slots__ = ("summary",)
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    summary: _containers.RepeatedCompositeFieldContainer[Summary]
    def __init__(self, summary: _Optional[_Iterable[_Union[Summary, _Mapping]]] = ...) -> None: ...

class Summary(_message.Message):
    __slots__ = ("sensor", "readings", "total_millidegrees", "highest_millidegrees")
    SENSOR_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MILLIDEGREES_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_MILLIDEGREES_FIELD_NUMBER: _ClassVar[int]
    sensor: str
    readings: int
    total_millidegrees: int
    highest_millidegrees: int
    def __init__(self, sensor: _Optional[str] = ..., readings: _Optional[int] = ..., total_millidegrees: _Optional[int] = ..., highest_millidegrees: _Optional[int] = ...) -> None: ...
