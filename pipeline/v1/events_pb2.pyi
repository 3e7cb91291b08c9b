from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_TYPE_UNSPECIFIED: _ClassVar[EventType]
    EVENT_TYPE_CLICK: _ClassVar[EventType]
    EVENT_TYPE_VIEW: _ClassVar[EventType]
    EVENT_TYPE_PURCHASE: _ClassVar[EventType]
EVENT_TYPE_UNSPECIFIED: EventType
EVENT_TYPE_CLICK: EventType
EVENT_TYPE_VIEW: EventType
EVENT_TYPE_PURCHASE: EventType

class Events(_message.Message):
    __slots__ = ("ts", "type", "user", "value")
    TS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ts: _containers.RepeatedScalarFieldContainer[str]
    type: _containers.RepeatedScalarFieldContainer[EventType]
    user: _containers.RepeatedScalarFieldContainer[str]
    value: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ts: _Optional[_Iterable[str]] = ..., type: _Optional[_Iterable[_Union[EventType, str]]] = ..., user: _Optional[_Iterable[str]] = ..., value: _Optional[_Iterable[int]] = ...) -> None: ...

class Amounts(_message.Message):
    __slots__ = ("type", "value")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    type: _containers.RepeatedScalarFieldContainer[EventType]
    value: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, type: _Optional[_Iterable[_Union[EventType, str]]] = ..., value: _Optional[_Iterable[int]] = ...) -> None: ...

class Totals(_message.Message):
    __slots__ = ("totals",)
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    totals: _containers.RepeatedCompositeFieldContainer[Total]
    def __init__(self, totals: _Optional[_Iterable[_Union[Total, _Mapping]]] = ...) -> None: ...

class Total(_message.Message):
    __slots__ = ("type", "count", "sum")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    type: EventType
    count: int
    sum: bytes
    def __init__(self, type: _Optional[_Union[EventType, str]] = ..., count: _Optional[int] = ..., sum: _Optional[bytes] = ...) -> None: ...
