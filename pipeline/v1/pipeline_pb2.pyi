from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Batch(_message.Message):
    __slots__ = ("number", "records", "filtered", "rejections", "timing", "payload", "first_record")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    FILTERED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    FIRST_RECORD_FIELD_NUMBER: _ClassVar[int]
    number: int
    records: int
    filtered: int
    rejections: _containers.RepeatedCompositeFieldContainer[Rejection]
    timing: Timing
    payload: _any_pb2.Any
    first_record: int
    def __init__(self, number: _Optional[int] = ..., records: _Optional[int] = ..., filtered: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[Rejection, _Mapping]]] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., payload: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., first_record: _Optional[int] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("record", "reason", "field")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    record: int
    reason: str
    field: str
    def __init__(self, record: _Optional[int] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("wait_ns", "wait_cpu_ns", "decode_ns", "decode_cpu_ns", "process_ns", "process_cpu_ns", "encode_ns", "encode_cpu_ns", "send_ns", "send_cpu_ns", "process_total_cpu_ns", "peak_rss_bytes")
    WAIT_NS_FIELD_NUMBER: _ClassVar[int]
    WAIT_CPU_NS_FIELD_NUMBER: _ClassVar[int]
    DECODE_NS_FIELD_NUMBER: _ClassVar[int]
    DECODE_CPU_NS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_NS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_CPU_NS_FIELD_NUMBER: _ClassVar[int]
    ENCODE_NS_FIELD_NUMBER: _ClassVar[int]
    ENCODE_CPU_NS_FIELD_NUMBER: _ClassVar[int]
    SEND_NS_FIELD_NUMBER: _ClassVar[int]
    SEND_CPU_NS_FIELD_NUMBER: _ClassVar[int]
    PROCESS_TOTAL_CPU_NS_FIELD_NUMBER: _ClassVar[int]
    PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    wait_ns: int
    wait_cpu_ns: int
    decode_ns: int
    decode_cpu_ns: int
    process_ns: int
    process_cpu_ns: int
    encode_ns: int
    encode_cpu_ns: int
    send_ns: int
    send_cpu_ns: int
    process_total_cpu_ns: int
    peak_rss_bytes: int
    def __init__(self, wait_ns: _Optional[int] = ..., wait_cpu_ns: _Optional[int] = ..., decode_ns: _Optional[int] = ..., decode_cpu_ns: _Optional[int] = ..., process_ns: _Optional[int] = ..., process_cpu_ns: _Optional[int] = ..., encode_ns: _Optional[int] = ..., encode_cpu_ns: _Optional[int] = ..., send_ns: _Optional[int] = ..., send_cpu_ns: _Optional[int] = ..., process_total_cpu_ns: _Optional[int] = ..., peak_rss_bytes: _Optional[int] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("source", "batch_records", "batch_bytes", "max_records", "linger_ns", "run", "position")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    BATCH_RECORDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_RECORDS_FIELD_NUMBER: _ClassVar[int]
    LINGER_NS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    source: _any_pb2.Any
    batch_records: int
    batch_bytes: int
    max_records: int
    linger_ns: int
    run: str
    position: Position
    def __init__(self, source: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., batch_records: _Optional[int] = ..., batch_bytes: _Optional[int] = ..., max_records: _Optional[int] = ..., linger_ns: _Optional[int] = ..., run: _Optional[str] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("batches", "records")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    batches: int
    records: int
    def __init__(self, batches: _Optional[int] = ..., records: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("run", "batches", "batch_records", "batch_bytes")
    RUN_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    BATCH_RECORDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    run: str
    batches: int
    batch_records: int
    batch_bytes: int
    def __init__(self, run: _Optional[str] = ..., batches: _Optional[int] = ..., batch_records: _Optional[int] = ..., batch_bytes: _Optional[int] = ...) -> None: ...

class WriteRequest(_message.Message):
    __slots__ = ("target", "batch", "commit")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    target: Target
    batch: Batch
    commit: Commit
    def __init__(self, target: _Optional[_Union[Target, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., commit: _Optional[_Union[Commit, _Mapping]] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("batches", "records")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    batches: int
    records: int
    def __init__(self, batches: _Optional[int] = ..., records: _Optional[int] = ...) -> None: ...

class WriteSummary(_message.Message):
    __slots__ = ("batches", "records", "result_bytes", "timing")
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    RESULT_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    batches: int
    records: int
    result_bytes: int
    timing: Timing
    def __init__(self, batches: _Optional[int] = ..., records: _Optional[int] = ..., result_bytes: _Optional[int] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ...) -> None: ...
