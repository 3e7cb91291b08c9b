from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WorkItemSource(_message.Message):
    __slots__ = ("records", "seed", "size", "iterations")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    records: int
    seed: int
    size: int
    iterations: int
    def __init__(self, records: _Optional[int] = ..., seed: _Optional[int] = ..., size: _Optional[int] = ..., iterations: _Optional[int] = ...) -> None: ...

class WorkItems(_message.Message):
    __slots__ = ("record", "id", "size", "first", "second", "matrix", "text", "iterations")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    record: _containers.RepeatedScalarFieldContainer[int]
    id: _containers.RepeatedScalarFieldContainer[int]
    size: _containers.RepeatedScalarFieldContainer[int]
    first: _containers.RepeatedScalarFieldContainer[float]
    second: _containers.RepeatedScalarFieldContainer[float]
    matrix: _containers.RepeatedScalarFieldContainer[float]
    text: _containers.RepeatedScalarFieldContainer[str]
    iterations: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, record: _Optional[_Iterable[int]] = ..., id: _Optional[_Iterable[int]] = ..., size: _Optional[_Iterable[int]] = ..., first: _Optional[_Iterable[float]] = ..., second: _Optional[_Iterable[float]] = ..., matrix: _Optional[_Iterable[float]] = ..., text: _Optional[_Iterable[str]] = ..., iterations: _Optional[_Iterable[int]] = ...) -> None: ...

class ParsedItems(_message.Message):
    __slots__ = ("record", "id", "size", "iterations", "normalised", "matrix", "checksum")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ITERATIONS_FIELD_NUMBER: _ClassVar[int]
    NORMALISED_FIELD_NUMBER: _ClassVar[int]
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    record: _containers.RepeatedScalarFieldContainer[int]
    id: _containers.RepeatedScalarFieldContainer[int]
    size: _containers.RepeatedScalarFieldContainer[int]
    iterations: _containers.RepeatedScalarFieldContainer[int]
    normalised: _containers.RepeatedScalarFieldContainer[float]
    matrix: _containers.RepeatedScalarFieldContainer[float]
    checksum: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, record: _Optional[_Iterable[int]] = ..., id: _Optional[_Iterable[int]] = ..., size: _Optional[_Iterable[int]] = ..., iterations: _Optional[_Iterable[int]] = ..., normalised: _Optional[_Iterable[float]] = ..., matrix: _Optional[_Iterable[float]] = ..., checksum: _Optional[_Iterable[float]] = ...) -> None: ...

class ScoredItems(_message.Message):
    __slots__ = ("record", "id", "mean", "deviation", "features", "matrix_total", "score")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MATRIX_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    record: _containers.RepeatedScalarFieldContainer[int]
    id: _containers.RepeatedScalarFieldContainer[int]
    mean: _containers.RepeatedScalarFieldContainer[float]
    deviation: _containers.RepeatedScalarFieldContainer[float]
    features: _containers.RepeatedScalarFieldContainer[float]
    matrix_total: _containers.RepeatedScalarFieldContainer[float]
    score: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, record: _Optional[_Iterable[int]] = ..., id: _Optional[_Iterable[int]] = ..., mean: _Optional[_Iterable[float]] = ..., deviation: _Optional[_Iterable[float]] = ..., features: _Optional[_Iterable[float]] = ..., matrix_total: _Optional[_Iterable[float]] = ..., score: _Optional[_Iterable[float]] = ...) -> None: ...

class Scores(_message.Message):
    __slots__ = ("record", "id", "final_score", "totals")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    FINAL_SCORE_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    record: _containers.RepeatedScalarFieldContainer[int]
    id: _containers.RepeatedScalarFieldContainer[int]
    final_score: _containers.RepeatedScalarFieldContainer[float]
    totals: ScoreTotals
    def __init__(self, record: _Optional[_Iterable[int]] = ..., id: _Optional[_Iterable[int]] = ..., final_score: _Optional[_Iterable[float]] = ..., totals: _Optional[_Union[ScoreTotals, _Mapping]] = ...) -> None: ...

class ScoreTotals(_message.Message):
    __slots__ = ("count", "numerator", "scale", "minimum", "maximum")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    count: int
    numerator: bytes
    scale: int
    minimum: float
    maximum: float
    def __init__(self, count: _Optional[int] = ..., numerator: _Optional[bytes] = ..., scale: _Optional[int] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ...) -> None: ...
