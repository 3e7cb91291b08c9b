"""A streaming pipeline of gRPC stages, and the same work in one process.

The names in ``__all__`` are public. Every module of this package is private: import
from ``pipeline`` itself. Each name is imported when it is first used, so that
``import pipeline`` loads neither grpc nor protobuf nor numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.public_names import lazy_names

if TYPE_CHECKING:
    # The same names as in _MODULES, for type checkers, which don't read that table.
    from pipeline.accounting import RunReport
    from pipeline.accumulator import Accumulator
    from pipeline.batching import BatchLimits
    from pipeline.engines.base import Engine, RunSettings
    from pipeline.engines.monolith import MonolithEngine
    from pipeline.engines.split import SplitEngine
    from pipeline.engines.window import WindowLimits
    from pipeline.errors import (
        ConservationError,
        ContractError,
        FunctionError,
        PipelineError,
        ReportError,
        SinkError,
        SourceError,
        StageError,
        UsageError,
    )
    from pipeline.source import (
        ByteReader,
        Opener,
        ReadFunction,
        Source,
        WaitingReader,
    )
    from pipeline.stages import Output, Refused, Stage, cut_columns, stage
    from pipeline.v1.lines_pb2 import Lines, LineSource
    from pipeline.v1.pipeline_pb2 import Rejection
    from pipeline.v1.rows_pb2 import Rows
    from pipeline.workload import Workload
    from pipeline.workloads import workload_named
    from pipeline.workloads.lines import (
        LINES,
        decoded,
        line_source,
        numbered_lines,
        read_lines,
    )
    from pipeline.workloads.rows import messages, per_record

    __version__: str

_MODULES = {
    "pipeline.accounting": ("RunReport",),
    "pipeline.accumulator": ("Accumulator",),
    "pipeline.batching": ("BatchLimits",),
    "pipeline.engines.base": ("Engine", "RunSettings"),
    "pipeline.engines.monolith": ("MonolithEngine",),
    "pipeline.engines.split": ("SplitEngine",),
    "pipeline.engines.window": ("WindowLimits",),
    "pipeline.errors": (
        "ConservationError",
        "ContractError",
        "FunctionError",
        "PipelineError",
        "ReportError",
        "SinkError",
        "SourceError",
        "StageError",
        "UsageError",
    ),
    "pipeline.source": (
        "ByteReader",
        "Opener",
        "ReadFunction",
        "Source",
        "WaitingReader",
    ),
    "pipeline.stages": ("Output", "Refused", "Stage", "cut_columns", "stage"),
    "pipeline.v1.lines_pb2": ("LineSource", "Lines"),
    "pipeline.v1.pipeline_pb2": ("Rejection",),
    "pipeline.v1.rows_pb2": ("Rows",),
    "pipeline.workload": ("Workload",),
    "pipeline.workloads": ("workload_named",),
    "pipeline.workloads.lines": (
        "LINES",
        "decoded",
        "line_source",
        "numbered_lines",
        "read_lines",
    ),
    "pipeline.workloads.rows": ("messages", "per_record"),
}

if not TYPE_CHECKING:  # or any misspelt name would pass for an Any
    __getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [  # noqa: RUF022 - by name whatever its case, as one looks a name up
    "__version__",
    "Accumulator",
    "BatchLimits",
    "ByteReader",
    "ConservationError",
    "ContractError",
    "cut_columns",
    "decoded",
    "Engine",
    "FunctionError",
    "line_source",
    "LINES",
    "Lines",
    "LineSource",
    "messages",
    "MonolithEngine",
    "numbered_lines",
    "Opener",
    "Output",
    "per_record",
    "PipelineError",
    "read_lines",
    "ReadFunction",
    "Refused",
    "Rejection",
    "ReportError",
    "Rows",
    "RunReport",
    "RunSettings",
    "SinkError",
    "Source",
    "SourceError",
    "SplitEngine",
    "Stage",
    "stage",
    "StageError",
    "UsageError",
    "WaitingReader",
    "WindowLimits",
    "Workload",
    "workload_named",
]
