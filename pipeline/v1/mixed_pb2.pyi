from pipeline.v1 import events_pb2 as _events_pb2
from pipeline.v1 import lines_pb2 as _lines_pb2
from pipeline.v1 import work_items_pb2 as _work_items_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MixedSource(_message.Message):
    __slots__ = ("items", "events")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    items: _work_items_pb2.WorkItemSource
    events: int
    def __init__(self, items: _Optional[_Union[_work_items_pb2.WorkItemSource, _Mapping]] = ..., events: _Optional[int] = ...) -> None: ...

class MixedRecords(_message.Message):
    __slots__ = ("lines", "line_record", "items")
    LINES_FIELD_NUMBER: _ClassVar[int]
    LINE_RECORD_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    lines: _lines_pb2.Lines
    line_record: _containers.RepeatedScalarFieldContainer[int]
    items: _work_items_pb2.WorkItems
    def __init__(self, lines: _Optional[_Union[_lines_pb2.Lines, _Mapping]] = ..., line_record: _Optional[_Iterable[int]] = ..., items: _Optional[_Union[_work_items_pb2.WorkItems, _Mapping]] = ...) -> None: ...

class MixedParsed(_message.Message):
    __slots__ = ("events", "items")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    events: _events_pb2.Events
    items: _work_items_pb2.ParsedItems
    def __init__(self, events: _Optional[_Union[_events_pb2.Events, _Mapping]] = ..., items: _Optional[_Union[_work_items_pb2.ParsedItems, _Mapping]] = ...) -> None: ...

class MixedScored(_message.Message):
    __slots__ = ("amounts", "items")
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    amounts: _events_pb2.Amounts
    items: _work_items_pb2.ScoredItems
    def __init__(self, amounts: _Optional[_Union[_events_pb2.Amounts, _Mapping]] = ..., items: _Optional[_Union[_work_items_pb2.ScoredItems, _Mapping]] = ...) -> None: ...

class MixedTotals(_message.Message):
    __slots__ = ("totals", "scores")
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    totals: _events_pb2.Totals
    scores: _work_items_pb2.Scores
    def __init__(self, totals: _Optional[_Union[_events_pb2.Totals, _Mapping]] = ..., scores: _Optional[_Union[_work_items_pb2.Scores, _Mapping]] = ...) -> None: ...
