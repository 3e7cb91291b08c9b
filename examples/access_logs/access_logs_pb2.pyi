from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Requests(_message.Message):
    __slots__ = ("method", "path", "status", "bytes")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    method: _containers.RepeatedScalarFieldContainer[str]
    path: _containers.RepeatedScalarFieldContainer[str]
    status: _containers.RepeatedScalarFieldContainer[int]
    bytes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, method: _Optional[_Iterable[str]] = ..., path: _Optional[_Iterable[str]] = ..., status: _Optional[_Iterable[int]] = ..., bytes: _Optional[_Iterable[int]] = ...) -> None: ...

class Hits(_message.Message):
    __slots__ = ("route", "bytes", "failed")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    route: _containers.RepeatedScalarFieldContainer[str]
    bytes: _containers.RepeatedScalarFieldContainer[int]
    failed: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, route: _Optional[_Iterable[str]] = ..., bytes: _Optional[_Iterable[int]] = ..., failed: _Optional[_Iterable[bool]] = ...) -> None: ...

class RouteTotals(_message.Message):
    __slots__ = ("totals",)
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    totals: _containers.RepeatedCompositeFieldContainer[RouteTotal]
    def __init__(self, totals: _Optional[_Iterable[_Union[RouteTotal, _Mapping]]] = ...) -> None: ...

class RouteTotal(_message.Message):
    __slots__ = ("route", "requests", "failed", "bytes")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    route: str
    requests: int
    failed: int
    bytes: int
    def __init__(self, route: _Optional[str] = ..., requests: _Optional[int] = ..., failed: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("method", "path", "status", "bytes")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    method: str
    path: str
    status: int
    bytes: int
    def __init__(self, method: _Optional[str] = ..., path: _Optional[str] = ..., status: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("route", "bytes", "failed")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    route: str
    bytes: int
    failed: bool
    def __init__(self, route: _Optional[str] = ..., bytes: _Optional[int] = ..., failed: bool = ...) -> None: ...
