"""Prove and measure streaming gRPC stages in pytest.

The names in ``__all__`` are public, and so are those of `pytest_pipeline.strategies`
and `pytest_pipeline.invariance`. Every other module is private. pytest imports this
package in every project that has it installed, so each name is imported when it is
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.public_names import lazy_names

if TYPE_CHECKING:
    # The same names as in _MODULES, for type checkers, which don't read that table.
    from pytest_pipeline.fixtures import StageServerFactory, stage_fixture
    from pytest_pipeline.invariance.partitioned_stream import InvarianceError
    from pytest_pipeline.invariance.search import check_workload
    from pytest_pipeline.measure.comparison import Answer, Comparer, Comparison
    from pytest_pipeline.measure.results import Measured, Record
    from pytest_pipeline.options.settings import PipelineSettings
    from pytest_pipeline.servers.driver import StageDriver
    from pytest_pipeline.servers.fake_clock import FakeClock
    from pytest_pipeline.servers.faults.fault import Fault, draw_fault
    from pytest_pipeline.servers.faults.proxy import FaultProxy, ProcessTarget
    from pytest_pipeline.servers.handle import Server
    from pytest_pipeline.servers.runs import PipelineRun, PipelineRunner

    __version__: str

_MODULES = {
    "pytest_pipeline.fixtures": ("StageServerFactory", "stage_fixture"),
    "pytest_pipeline.invariance.partitioned_stream": ("InvarianceError",),
    "pytest_pipeline.invariance.search": ("check_workload",),
    "pytest_pipeline.measure.comparison": ("Answer", "Comparer", "Comparison"),
    "pytest_pipeline.measure.results": ("Measured", "Record"),
    "pytest_pipeline.options.settings": ("PipelineSettings",),
    "pytest_pipeline.servers.driver": ("StageDriver",),
    "pytest_pipeline.servers.fake_clock": ("FakeClock",),
    "pytest_pipeline.servers.faults.fault": ("Fault", "draw_fault"),
    "pytest_pipeline.servers.faults.proxy": ("FaultProxy", "ProcessTarget"),
    "pytest_pipeline.servers.handle": ("Server",),
    "pytest_pipeline.servers.runs": ("PipelineRun", "PipelineRunner"),
}

if not TYPE_CHECKING:  # or any misspelt name would pass for an Any
    __getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [  # noqa: RUF022 - by name whatever its case, as one looks a name up
    "__version__",
    "Answer",
    "check_workload",
    "Comparer",
    "Comparison",
    "draw_fault",
    "FakeClock",
    "Fault",
    "FaultProxy",
    "InvarianceError",
    "Measured",
    "PipelineRun",
    "PipelineRunner",
    "PipelineSettings",
    "ProcessTarget",
    "Record",
    "Server",
    "stage_fixture",
    "StageDriver",
    "StageServerFactory",
]
