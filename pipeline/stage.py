"""The import path of workloads from before ``pipeline`` exported its names.

New workloads import from ``pipeline``. This module has the same name as the function
`pipeline.stage`, and importing it binds the module to that name. Calling the module
therefore calls the function.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from pipeline.accumulator import Accumulator as ResultFold
from pipeline.source import ReadFunction as Read
from pipeline.source import Source
from pipeline.stages import Output, Refused, Stage, stage
from pipeline.v1.pipeline_pb2 import Rejection
from pipeline.workload import Workload

__all__ = [
    "Output",
    "Read",
    "Refused",
    "Rejection",
    "ResultFold",
    "Source",
    "Stage",
    "Workload",
    "stage",
]


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return stage(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
